"""Our rules for what may edit code by itself. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import max_exposure, safety_before_capability

max_exposure(percent=20, trusted=["internal-testers", "experimental"])
safety_before_capability(level="advisory")


@policy(level="mandatory")
def agent_mode_on_request(review):
    """Only requests that ask for agentic edits are served by agent mode."""
    for state in review.states:
        for share in state.shares:
            if share.line != "experimental" and state.plan.releases[share.release].flags.get("agent_mode"):
                message = f"{share.percent:g} % of {share.audience} would get agent mode without a request for it."
                yield Violation(message, ("flags", "agent_mode"), "Switch it on in channel 'experimental'.", state)
