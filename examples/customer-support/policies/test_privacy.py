"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_refunds_are_never_proposed_in_the_privacy_channel(state):
    own = [state.plan.releases[share.release] for share in state.serving.get("privacy", ())]
    assert not any(release.flags.get("proactive_refunds") for release in own)
