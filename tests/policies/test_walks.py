"""Walks: rollouts of any plan hold, a broken rule is reported as a trace, and the same seed gives the same one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis.stateful import invariant

from rollcast.planner.plan.models import Plan
from rollcast.policies import Review, State, Violation, library, policy
from rollcast.policies.model_based.evidence import StageEvidence
from rollcast.policies.model_based.machine import RolloutMachine, walk_everywhere
from rollcast.policies.model_based.model_state import ModelState
from rollcast.policies.model_based.profiles import QUICK, THOROUGH, SearchProfile
from rollcast.policies.model_based.reviews import reviews
from rollcast.policies.model_based.trace import Counterexample
from rollcast.policies.model_based.walk import Walk
from rollcast.policies.testing import of_states
from tests.policies.reviews import review_of

SHORT = SearchProfile("short", 25, 25, seed=0, shrink_s=10.0)


def test_any_rollout_keeps_its_invariants() -> None:
    walk_everywhere(reviews(), profile=QUICK.with_(seed=0))


@pytest.mark.slow
def test_any_rollout_keeps_its_invariants_however_long_it_is_looked_at() -> None:
    walk_everywhere(reviews(), profile=THOROUGH.with_(examples=150, seed=1))


def test_a_walk_to_the_end_reaches_what_is_declared() -> None:
    walk = Walk(review_of())
    while walk.finished is None:
        walk.onward()
    assert walk.finished.outcome == "promoted"
    assert list(walk.state.releases) == list(walk.plan.to_release.values())


@pytest.mark.parametrize("milestones", range(5))
def test_an_abort_from_anywhere_leads_back_to_the_start(milestones: int) -> None:
    walk = Walk(review_of())
    for _ in range(milestones):
        walk.onward()
    walk.operate()
    walk.abort()
    while walk.finished is None:
        walk.reach()
    if walk.finished.outcome == "rolled_back":
        assert walk.state.serving == walk.plan.start
        assert walk.state.instances == walk.plan.start_instances
    else:
        assert any("refused: " in step for step in walk.story.steps)


def test_harm_is_rolled_back_and_silence_proves_nothing() -> None:
    walk = Walk(review_of())
    walk.reach()
    walk.reach()
    walk.watch(StageEvidence.SILENT)
    assert walk.observing is not None
    walk.watch(StageEvidence.HARMFUL)
    assert walk.rollout.position.rollback_from is not None


def seen(state: State) -> Iterator[Violation]:
    for share in state.shares:
        if (share.line, share.release) in state.unproved:
            yield Violation(f"{share.release} is seen.", remedy="Hide it.", state=state)


def story(rule: object, profile: SearchProfile = SHORT) -> str:
    with pytest.raises(Counterexample) as caught:
        walk_everywhere(reviews(max_pipelines=1, channels=False), [rule], profile=profile)  # type: ignore[list-item]
    return str(caught.value)


def test_a_counterexample_is_reported_from_its_start_to_who_is_affected() -> None:
    printed = story(of_states(seen))
    first, *rest = printed.splitlines()
    assert first.startswith("Policy 'seen' does not hold: rel-")
    titles = [track.split()[0] for track in rest if track and not track.startswith(" ")]
    assert titles == ["Start", "Steps", "State", "Affected", "Remedy"]
    assert " of everyone" in printed or " of " in printed
    assert len([track for track in rest if ". shift " in track]) == 1


def test_the_same_seed_tells_the_same_story_and_another_one_may_not() -> None:
    unshrunk = replace(SHORT, shrink_s=0.0)
    assert story(of_states(seen), unshrunk) == story(of_states(seen), unshrunk)


def test_a_rule_that_depends_on_more_than_the_review_is_named_as_such() -> None:
    verdicts = iter([[], [], [], *[["now"], []] * 100_000])

    @policy
    def moody(review: Review) -> list[str]:
        return next(verdicts)

    assert "two verdicts on the same state" in story(moody)


@pytest.mark.parametrize("broken", [lambda review: 1 / 0, lambda review: None, lambda review: "text"])
def test_a_broken_policy_fails_a_walk_at_once(broken: object) -> None:
    assert "is broken" in story(policy(name="broken")(broken))  # type: ignore[call-overload]


def test_a_rule_over_the_plan_alone_fails_a_walk_where_it_is_a_projects_own() -> None:
    @policy
    def of_the_plan(review: Review) -> list[str]:
        return ["whatever happens on the way"]

    assert "Policy 'of-the-plan' does not hold: whatever happens" in story(of_the_plan)


def test_what_a_guardrail_of_the_library_asks_of_a_release_is_left_to_its_plan() -> None:
    walk_everywhere(reviews(), [library.evaluation_fresh(1)], profile=SHORT)


def test_a_rule_that_misses_a_state_is_judged_by_all_of_them() -> None:
    @policy
    def somebody_is_served(review: Review) -> list[str]:
        if review.visited:
            return []
        return [] if any(state.shares for state in review.states) or review.plan.empty else ["nobody is served"]

    walk_everywhere(reviews(), [somebody_is_served], profile=SHORT)


def test_a_machine_may_be_extended_with_invariants_of_its_own() -> None:
    class Ours(RolloutMachine):
        @invariant()
        def nothing_is_overwritten(self) -> None:
            assert self.walk.world.now_s == 0.0, "time has passed"

    with pytest.raises(Counterexample, match="An invariant does not hold: time has passed"):
        walk_everywhere(reviews(), profile=SHORT, machine=Ours)


def test_a_walk_sees_a_plan_that_was_tampered_with() -> None:
    data = json.loads(json.dumps(review_of().plan.to_json()))
    data["operations"] = [operation for operation in data["operations"] if operation["kind"] != "drain"]
    for operation in data["operations"]:
        operation["after"] = [name for name in operation["after"] if not name.startswith("drain/")]
    with pytest.raises(Counterexample, match=r"waits for no drain|may be done before"):
        Walk(replace(review_of(), plan=Plan.from_json(data)))


def test_what_exists_once_and_is_only_wired_otherwise_is_of_the_release_that_a_request_is_on() -> None:
    """Nobody overwrites it: what ran before runs on, and each release says how it is wired."""
    head = (
        "pipeline: p\nartifacts:\n  - {kind: retrieval-index, name: i, version: '1'}\n"
        "  - {kind: model-weights, name: m, version: '1'}\n  - {kind: prompt-template, name: t, version: '1'}\n"
        "  - {kind: prompt-template, name: t, version: '2'}\ncomponents:\n"
    )
    old = head + "  a: {artifact: i@1}\n  m: {artifact: m@1, prompt: t@1, upstream: [a], in_place: true}\n"
    new = head + "  b: {artifact: i@1}\n  m: {artifact: m@1, prompt: t@2, upstream: [b], in_place: true}\n"
    plan = review_of(new, old).plan
    state, found = ModelState(plan), list[str]()
    for milestone in plan.milestones:
        for operation in plan.operations_of(milestone.index):
            found += state.do(operation, milestone)
            request = state.enter("p", "someone", {})
            assert request is not None
            found += state.visit(request, len(request.ahead))
    assert not found
