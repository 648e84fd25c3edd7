"""Our rules for code that we complete. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import licences, max_exposure, privacy_never_experimental

licences(["CC0-1.0"], kinds=["dataset"])
max_exposure(percent=50)  # half of an audience, until the gates have compared
privacy_never_experimental(["private"])

FIRST = "internal-testers"


@policy(level="mandatory")
def private_code_stays_in_its_function(review):
    """Who completes private code is never served by a prompt that sees more of the workspace than the function."""
    for state in review.states:
        for release in state.serves("private").values():
            prompt = release.slots["completion.prompt"].artifact
            if prompt.parameters.get("sees") == "workspace":
                message = f"private code would be completed by {prompt.reference}, which repeats lines of other files."
                path = review.component_path("private", "completion.prompt")
                yield Violation(message, path, "Give the channel a prompt that sees the function alone.", state)


@policy(level="mandatory")
def we_try_it_ourselves_first(review):
    """Nobody outside is served by a release of the default channel that our own testers have not proved."""
    for state in review.states:
        for share in state.new_shares:
            if share.line == "default" and state.is_unproved(share) and share.audience != FIRST:
                message = f"{share.audience} would be served by {share.release} before {FIRST} have proved it."
                yield Violation(message, review.rollout_path("default", "stages"), f"Begin with '{FIRST}'.", state)


@policy(level="mandatory")
def nothing_leaves_unguarded(review):
    """Every completion is looked at for credentials before it leaves."""
    for state in review.states:
        for release in state.releases.values():
            if "guard" not in release.slots:
                message = f"{release.id} would serve completions that nothing has looked at for credentials."
                yield Violation(message, ("components",), "Keep 'guard' in the pipeline.", state)
