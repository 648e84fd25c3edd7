"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_words_are_only_sought_that_the_acoustic_model_has_sounds_for(state):
    for release in state.releases.values():
        assert release.slots["lm-policy"].requires["token-set"].value == release.slots["acoustic"].provides["token-set"]


@at_every_state
def test_nobodys_telephone_number_leaves(state):
    assert all(release.slots["lm-policy"].parameters["mask_numbers"] for release in state.releases.values())
