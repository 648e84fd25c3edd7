"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_telephony_is_always_resampled(state):
    own = [state.plan.releases[share.release] for share in state.serving.get("telephony", ())]
    assert all(release.slots["front"].parameters.get("resample_to_hz") == 16000 for release in own)
