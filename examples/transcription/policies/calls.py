"""Our rules for calls. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import max_exposure

max_exposure(percent=50)

FIRST = "west-midlands"


@policy(level="mandatory")
def telephone_numbers_are_masked(review):
    """In no state does a release serve that would let the telephone numbers of callers under the GDPR leave."""
    for state in review.states:
        for release in state.releases.values():
            if release.slots["lm-policy"].parameters.get("mask_numbers") is not True:
                message = f"{release.id} would give away telephone numbers of callers in the European Union."
                path = review.component_path("default", "lm-policy")
                yield Violation(message, path, "Declare parameters: {mask_numbers: true}.", state)


@policy(level="mandatory")
def the_accent_that_the_lexicon_was_widened_for_is_judged_first(review):
    """Nobody else gets a release that this accent has not proved: an average over all callers would hide it."""
    for state in review.states:
        for share in state.new_shares:
            if state.is_unproved(share) and share.audience != FIRST:
                message = f"{share.audience} would be served by {share.release} before {FIRST} has proved it."
                yield Violation(message, review.rollout_path("default", "stages"), f"Begin with '{FIRST}'.", state)
