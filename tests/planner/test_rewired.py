"""Renamed, split, merged and re-wired components: served by the old wiring or the new one, and a plan is found."""

from __future__ import annotations

import pytest
from hypothesis import event, given

from rollcast.planner.base.errors import NoSafeOrder
from rollcast.planner.declaration.models import Declaration, RolloutSettings
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import Release, releases_of
from rollcast.planner.safety.invariants import violations
from rollcast.policies.strategies import Transition, rewirings
from tests.planner.every_state import Oracle


def shape(release: Release) -> list[tuple[str, list[str]]]:
    return sorted((name, sorted(slot.upstream)) for name, slot in release.slots.items())


def served(plan: Plan) -> set[str]:
    """Every release that serves, forwards or during a rollback."""
    steps = [*plan.milestones, *(milestone for way in plan.rollback for milestone in way.milestones)]
    return {share.release for step in steps for shares in step.serving.values() for share in shares}


@given(rewirings())
def test_both_sides_of_a_re_wired_pair_are_valid(pair: Transition) -> None:
    assert check(pair.released) == []
    assert check(pair.declared) == []


@given(rewirings(max_slots=5))
def test_whatever_runs_side_by_side_has_a_plan_that_serves_the_old_wiring_or_the_new_one(pair: Transition) -> None:
    plan = make_plan(pair.declared, live_as_declared(pair.released))
    ends = [shape(release) for side in (pair.released, pair.declared) for release in releases_of(side).values()]
    event("re-wired" if ends[0] != ends[1] else "wired as before")
    assert all(shape(plan.releases[release]) in ends for release in served(plan))


@given(rewirings(max_slots=3, in_place=True))
def test_where_something_exists_once_a_plan_that_is_found_is_whole(pair: Transition) -> None:
    try:
        plan = make_plan(pair.declared, live_as_declared(pair.released))
    except NoSafeOrder:
        event("refused")
        return
    assert Oracle(plan).run() == set()


def guarded(slot: str) -> Declaration:
    return load(
        "pipeline: chat\nartifacts:\n"
        "  - {kind: model-weights, name: bot, version: '1', provides: {answer: '1'}}\n"
        "  - {kind: safety-policy, name: rules, version: '1', requires: {answer: '1'}}\n"
        f"components:\n  generator: {{artifact: bot@1}}\n  {slot}: {{artifact: rules@1, upstream: [generator]}}\n"
    )


def test_a_renamed_safety_policy_is_absent_for_nobody() -> None:
    plan = make_plan(guarded("guard"), live_as_declared(guarded("safety")))
    assert [set(group) for group in plan.groups] == [{"guard", "safety"}]
    for release in served(plan):
        assert len({"guard", "safety"} & plan.releases[release].slots.keys()) == 1


def test_a_plan_that_serves_a_third_wiring_is_refused() -> None:
    plan = make_plan(guarded("guard"), live_as_declared(guarded("safety")))
    whole = plan.releases[plan.to_release["default"]]
    bare = whole.model_copy(update={"slots": {"generator": whole.slots["generator"]}})
    first = next(m for m in plan.milestones if m.serving)
    (share, *others) = first.serving["default"]
    serving = {"default": (share.model_copy(update={"release": bare.id}), *others)}
    milestones = tuple(m.model_copy(update={"serving": serving}) if m is first else m for m in plan.milestones)
    releases = {**plan.releases, bare.id: bare}
    unguarded = plan.model_copy(update={"milestones": milestones, "releases": releases})
    assert any(v.invariant == "declared wiring" and bare.id in v.what for v in violations(unguarded))
    assert list(violations(plan)) == []


MERGED = """
pipeline: search
artifacts:
  - {kind: retrieval-index, name: find, version: "1"}
  - {kind: reranker, name: rank, version: "1", requires: {ranking-space: "1"}}
  - {kind: embedding-model, name: space, version: "1", provides: {ranking-space: "1"}}
components:
  index: {artifact: find@1}
  ranking-model: {artifact: space@1}
  reranker: {artifact: rank@1, upstream: [index]}
---
pipeline: search
artifacts: [{kind: retrieval-index, name: search, version: "1", provides: {ranking-space: "1"}}]
components: {index: {artifact: search@1}}
"""
REVERSED = """
pipeline: search
artifacts:
  - {kind: embedding-model, name: e, version: "1", provides: {space: "1"}}
  - {kind: retrieval-index, name: kb, version: "1", requires: {space: "1"}}
components: {index: {artifact: kb@1}, embedder: {artifact: e@1, upstream: [index]}}
---
pipeline: search
artifacts: [{kind: embedding-model, name: e, version: "2"}, {kind: retrieval-index, name: kb, version: "2"}]
components: {embedder: {artifact: e@2}, index: {artifact: kb@2, upstream: [embedder]}}
"""
MOVED = """
pipeline: p
artifacts:
  - {kind: model-weights, name: far, version: "1", provides: {c: "1"}}
  - {kind: model-weights, name: near, version: "1"}
  - {kind: model-weights, name: user, version: "1", requires: {c: "1"}}
components:
  far: {artifact: far@1}
  near: {artifact: near@1, upstream: [far]}
  user: {artifact: user@1, upstream: [near]}
---
pipeline: p
artifacts:
  - {kind: model-weights, name: far, version: "2"}
  - {kind: model-weights, name: near, version: "2", provides: {c: "2"}}
  - {kind: model-weights, name: user, version: "2", requires: {c: "2"}}
components:
  far: {artifact: far@2}
  near: {artifact: near@2, upstream: [far]}
  user: {artifact: user@2, upstream: [near]}
"""


@pytest.mark.parametrize("pair", [MERGED, REVERSED, MOVED], ids=["merged", "reversed", "contract moved"])
def test_a_simplification_a_reversal_and_a_contract_that_moves_have_a_plan(pair: str) -> None:
    old, new = (load(side) for side in pair.split("---"))
    for one, other in ((old, new), (new, old)):
        assert not make_plan(other, live_as_declared(one)).empty


# ---- what ships together, and exists once -------------------------------------------------------


def shipped(version: str, rollout: str) -> Declaration:
    return load(
        "pipeline: p\nartifacts:\n"
        f"  - {{kind: retrieval-index, name: kb, version: '{version}', provides: {{c~index~reranker: '{version}'}}}}\n"
        f"  - {{kind: reranker, name: rank, version: '{version}', requires: {{c~index~reranker: '>=1'}}}}\n"
        f"  - {{kind: model-weights, name: bot, version: '{version}'}}\n"
        f"components:\n  index: {{artifact: kb@{version}, in_place: true}}\n"
        f"  reranker: {{artifact: rank@{version}, upstream: [index]}}\n"
        f"  generator: {{artifact: bot@{version}, upstream: [reranker], independent_of: [reranker]}}\n"
        f"rollout: {{ship_together: [[index, reranker, generator]]{rollout}}}\n"
    )


def test_what_exists_once_ships_apart_where_an_order_is_safe_and_the_plan_says_so() -> None:
    plan = make_plan(shipped("2", ""), live_as_declared(shipped("1", "")))
    assert plan.groups == (("index",), ("reranker", "generator"))
    assert any("index + reranker + generator of default do not switch in one step" in note for note in plan.notes)
    assert Oracle(plan).run() == set()
    pause = ", maintenance_pause: true"
    paused = make_plan(shipped("2", pause), live_as_declared(shipped("1", pause)))
    assert paused.groups == (("index", "reranker", "generator"),)
    assert not any("do not switch" in note for note in paused.notes)


@given(rewirings(max_slots=4, in_place=True))
def test_no_declared_tie_is_the_reason_of_a_refusal(pair: Transition) -> None:
    """What its rollout switches together is a wish: where an order is safe without it, there is a plan with it, too."""
    free = RolloutSettings()
    try:
        make_plan(pair.declared.model_copy(update={"rollout": free}), live_as_declared(pair.released))
    except NoSafeOrder:
        event("refused for its contracts or its wiring")
        return
    event("ships together" if pair.declared.rollout.ship_together else "one after another")
    make_plan(pair.declared, live_as_declared(pair.released))


# ---- drains -------------------------------------------------------------------------------------


def lasts(plan: Plan, *sides: Declaration) -> dict[str, float]:
    """Release -> the longest that one of its requests may last, by all that is declared of it."""
    rollout = max(side.rollout.timeout for side in sides)
    return {
        name: max([rollout, *(slot.timeout_s or 0.0 for slot in release.slots.values())])
        for name, release in plan.releases.items()
    }


@given(rewirings(in_place=True))
def test_a_drain_lasts_as_long_as_the_longest_request_that_reaches_what_goes_away(pair: Transition) -> None:
    try:
        plan = make_plan(pair.declared, live_as_declared(pair.released))
    except NoSafeOrder:
        return
    longest = lasts(plan, pair.released, pair.declared)
    for operations in (plan.operations, *(way.operations for way in plan.rollback)):
        for drain in [o for o in operations if o.kind == "drain"]:
            retired = {o.release for o in operations if o.kind == "retire" and o.milestone == drain.milestone}
            ended = {*drain.drained, *(release for release in retired if release)}
            event(f"waits {drain.wait_s:g} s")
            assert drain.wait_s >= max((longest[release] for release in ended), default=0.0)


def generating(version: str, timeout: str, rollout: str) -> Declaration:
    return load(
        f"pipeline: p\nartifacts: [{{kind: model-weights, name: bot, version: '{version}'}}]\n"
        f"components: {{generator: {{artifact: bot@{version}{timeout}}}}}\nrollout: {{timeout: {rollout}}}\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "longest"),
    [
        ((", timeout: 10m", "30s"), (", timeout: 10m", "30s"), 600.0),
        ((", timeout: 10m", "30s"), (", timeout: 20s", "30s"), 600.0),
        (("", "5m"), ("", "30s"), 300.0),
        (("", "30s"), ("", "5m"), 300.0),
        ((", timeout: 5s", "40s"), (", timeout: 5s", "40s"), 40.0),
    ],
)
def test_the_old_release_drains_as_long_as_its_requests_were_declared_to_last(
    old: tuple[str, str], new: tuple[str, str], longest: float
) -> None:
    plan = make_plan(generating("2", *new), live_as_declared(generating("1", *old)))
    assert [o.wait_s for o in plan.operations if o.kind == "drain"] == [longest]


def test_a_drain_that_was_made_shorter_is_refused() -> None:
    side = (", timeout: 10m", "30s")
    plan = make_plan(generating("2", *side), live_as_declared(generating("1", *side)))
    short = tuple(o.model_copy(update={"wait_s": 30.0}) if o.kind == "drain" else o for o in plan.operations)
    assert [v.invariant for v in violations(plan.model_copy(update={"operations": short}))] == ["drained"]
    ways = tuple(
        way.model_copy(update={"operations": tuple(o.model_copy(update={"wait_s": 30.0}) for o in way.operations)})
        for way in plan.rollback
    )
    assert {v.invariant for v in violations(plan.model_copy(update={"rollback": ways}))} == {"drained"}
