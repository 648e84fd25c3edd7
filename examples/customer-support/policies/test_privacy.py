"""Walks every rollout between our releases: crashes, bad evidence, aborts, requests in flight."""

from rollcast.policies.testing import at_every_state


@at_every_state
def test_refunds_are_never_proposed_in_the_privacy_channel(state):
    own = [state.plan.releases[share.release] for share in state.serving.get("privacy", ())]
    assert not any(release.flags.get("proactive_refunds") for release in own)


@at_every_state
def test_whatever_happens_a_protected_person_is_served_from_no_memory(state):
    for release in state.serves("privacy").values():
        assert release.slots["agent.memory"].artifact.name == "no-history"


@at_every_state
def test_a_policy_only_checks_citations_of_the_scheme_that_the_sources_have(state):
    for release in state.releases.values():
        scheme = release.slots["policy"].requires["citation-scheme"].value
        assert release.slots["sources"].provides["citation-scheme"] == scheme
