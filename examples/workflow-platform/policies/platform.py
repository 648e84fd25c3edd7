"""Rules of the platform for all of its pipelines. Loaded by rollcast in order of file name."""

from rollcast.policies import Violation, policy
from rollcast.policies.library import max_exposure, min_bake

min_bake(1800)
max_exposure(percent=10, trusted=["internal"], level="advisory")  # the gateway exists once, and can't be split


@policy(level="mandatory")
def every_answer_passes_the_gateway(review):
    """Whatever serves, in whichever pipeline, ends at the shared policy gateway."""
    for state in review.states:
        for release in state.releases.values():
            if "gateway" not in release.slots:
                message = f"{release.id} of {release.pipeline} would answer past the gateway."
                yield Violation(message, ("pipelines", release.pipeline), "Put 'gateway' last.", state)
