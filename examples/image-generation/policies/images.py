"""Our rules for images. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import max_exposure, min_bake

min_bake(1800)
max_exposure(level="disabled")  # blue-green: the old environment stays warm for six hours, for one switch back


@policy(level="mandatory")
def no_image_without_watermark_and_moderation(review):
    """Every image passes the watermark and the moderation of images, and nothing comes after them."""
    for state in review.states:
        for release in state.releases.values():
            for slot in ("upscaler", "image-moderation"):
                if slot not in release.slots:
                    message = f"{release.id} would serve images without {slot}."
                    yield Violation(message, ("components",), f"Keep '{slot}' in the pipeline.", state)
