"""Our rules for calls. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import max_exposure, min_bake

min_bake(1800)
max_exposure(percent=25, trusted=["internal"])

BEFORE_CALL_CENTRES = ("internal", "hard-audio", "not-critical")


@policy(level="mandatory")
def call_centres_get_what_others_have_proved(review):
    """Call centres come last: on the default channel nobody outside the earlier audiences gets what is unproved."""
    for state in review.states:
        for share in state.serving.get("default", ()):
            if ("default", share.release) in state.unproved and share.audience not in BEFORE_CALL_CENTRES:
                message = f"{share.audience} would be served by {share.release} before anybody else has."
                yield Violation(message, review.rollout_path("default", "stages"), "Begin with 'internal'.", state)
