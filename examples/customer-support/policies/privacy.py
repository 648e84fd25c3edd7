"""Our rules for people's data. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import max_exposure, regulatory_domain

regulatory_domain("regulatory_domain", "gdpr-special-category", labels=["gdpr"])
max_exposure(percent=50)  # half of an audience, until the gates have compared


@policy(level="mandatory")
def privacy_channel_remembers_nothing(review):
    """Requests of the privacy channel never reach a memory of the customer's history."""
    for state in review.states:
        for release in state.serves("privacy").values():
            memory = release.slots["agent.memory"]
            if state.milestone >= 0 and memory.artifact.name != "no-history":
                message = f"a private request would reach {memory.reference}."
                path = review.component_path("privacy", "agent.memory")
                yield Violation(message, path, "Give the channel 'agent: {memory: no-history@1}'.", state)
