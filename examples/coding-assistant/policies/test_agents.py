"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_a_light_model_always_stands_by(state):
    assert all("light-completion" in release.slots for release in state.releases.values())
