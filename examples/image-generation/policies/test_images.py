"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_a_style_is_only_served_in_the_latent_space_that_it_was_made_for(state):
    for release in state.releases.values():
        engine, style = release.slots["synthesis"], release.slots["synthesis.adapter"]
        wanted = style.requires.get("latent-space")
        assert wanted is None or engine.provides.get("latent-space") == wanted.value
