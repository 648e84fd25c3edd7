"""Our rules for retrieval. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import max_exposure

max_exposure(percent=10)


@policy(level="mandatory")
def index_with_its_own_embedder(review):
    """An index only serves beside the embedder that it was built with."""
    for state in review.states:
        for release in state.releases.values():
            index, embedder = release.slots["index"], release.slots["embedder"]
            if embedder.reference not in index.artifact.derived_from:
                message = f"{index.reference} was not built with {embedder.reference}."
                yield Violation(message, review.component_path("default", "index"), "Build it again.", state)
