"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_a_style_is_only_served_in_the_latent_space_that_it_was_made_for(state):
    for release in state.releases.values():
        engine = release.slots["synthesis"]
        for slot in ("synthesis.adapter", "alignment"):
            wanted = release.slots[slot].requires.get("latent-space")
            assert wanted is None or engine.provides.get("latent-space") == wanted.value


@at_every_state
def test_whatever_happens_moderation_says_that_it_withholds_all_who_withdrew(state):
    for release in state.releases.values():
        assert set(release.slots["image-moderation"].artifact.parameters["withholds"]) >= {4, 7, 9}
