"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_whatever_happens_there_is_a_safety_policy_in_front_of_the_user(state):
    assert all("safety" in release.slots for release in state.releases.values())
