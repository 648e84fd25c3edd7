"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_there_is_one_gateway(state):
    assert sum(slot == "gateway" for _, slot in state.instances.values()) <= 1
