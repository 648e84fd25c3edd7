"""Our rules for images. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import licences, max_exposure

licences(["Apache-2.0", "CC-BY-4.0"])
max_exposure(percent=25)  # a quarter of the users, until the gates have compared green with blue


@policy(level="mandatory")
def who_withdrew_is_withheld(review):
    """Whoever withdrew from a dataset that an engine was trained on is withheld by the moderation after it.

    A model remembers whom it was trained on: consent that is withdrawn later can only be kept by what comes after it.
    """
    artifacts = {artifact.reference: artifact for artifact in review.declaration.artifacts}
    for state in review.states:
        for release in state.releases.values():
            withdrew = {
                subject
                for slot in ("synthesis", "synthesis.adapter")
                for source in release.slots[slot].artifact.derived_from
                for subject in artifacts[source].parameters.get("withdrawn", ())
            }
            moderation = release.slots.get("image-moderation")
            withheld = set(moderation.artifact.parameters.get("withholds", ())) if moderation else set()
            if missing := withdrew - withheld:
                message = f"{release.id} would draw subjects who withdrew: {sorted(missing)}."
                yield Violation(message, ("components",), "Moderate finished images by all who withdrew.", state)


@policy(level="mandatory")
def no_image_without_mark_and_moderation(review):
    """Every image is marked as made by a machine and moderated, and nothing comes after that."""
    for state in review.states:
        for release in state.releases.values():
            for slot in ("upscaler", "image-moderation"):
                if slot not in release.slots:
                    message = f"{release.id} would serve images without {slot}."
                    yield Violation(message, ("components",), f"Keep '{slot}' in the pipeline.", state)
