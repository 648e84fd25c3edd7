"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_a_model_is_only_prompted_in_its_own_marks(state):
    for release in state.releases.values():
        marks = release.slots["completion.prompt"].requires["chat-template"].value
        assert release.slots["completion"].provides["chat-template"] == marks


@at_every_state
def test_private_code_is_given_to_no_prompt_that_sees_the_workspace(state):
    for release in state.serves("private").values():
        assert "sees" not in release.slots["completion.prompt"].artifact.parameters


@at_every_state
def test_whatever_happens_a_guard_looks_at_every_completion(state):
    assert all("guard" in release.slots for release in state.releases.values())
