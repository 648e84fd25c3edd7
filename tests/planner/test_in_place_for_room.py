"""Components that can run twice, where both versions don't fit: overwritten where that is safe, refused where not."""

from __future__ import annotations

import pytest
from hypothesis import assume, event, given

from rollcast.planner.base.errors import CapacityError, PlannerError, UnsafePlan
from rollcast.planner.declaration.models import Declaration, Environment, Region
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import releases_of
from rollcast.policies.strategies import Transition, transitions
from tests.planner.every_state import Oracle


def declared(version: str, capacity: int, requires: str = ">=1", extra: str = "") -> Declaration:
    """A generator of 4 accelerators below a reranker of one; the generator requires a passage schema of it."""
    reranker = "2" if requires == "2" and version == "2" else "1"
    return load(
        "pipeline: p\nartifacts:\n"
        "  - {kind: reranker, name: r, version: '1', provides: {schema: '1'}}\n"
        "  - {kind: reranker, name: r, version: '2', provides: {schema: '2'}}\n"
        "  - {kind: model-weights, name: g, version: '1', requires: {schema: '1'}}\n"
        f"  - {{kind: model-weights, name: g, version: '2', requires: {{schema: '{requires}'}}}}\n"
        f"environments: {{prod: {{capacity: {{accelerators: {capacity}}}}}}}\n{extra}"
        f"components:\n  r: {{artifact: r@{reranker}, needs: {{accelerators: 1}}}}\n"
        f"  g: {{artifact: g@{version}, upstream: [r], needs: {{accelerators: 4}}}}\n"
    )


def test_both_versions_run_side_by_side_where_there_is_room() -> None:
    plan = make_plan(declared("2", 9), live_as_declared(declared("1", 9)))
    assert not any(o.in_place for o in plan.operations)


def test_what_does_not_fit_twice_is_overwritten_and_the_plan_says_why_and_what_follows() -> None:
    before, after = declared("1", 8), declared("2", 8)
    plan = make_plan(after, live_as_declared(before))
    (swap,) = [o for o in plan.operations if o.in_place]
    assert "both versions of g don't fit (9 accelerators needed, 8 declared: 1 missing)" in swap.why
    assert swap.instance in plan.start_instances
    assert any("To go back is to overwrite it again" in note for note in plan.notes)
    assert any("with no concurrent baseline" in note for note in plan.notes)
    (step,) = [m for m in plan.milestones if m.kind == "shift"]
    way = plan.rollback_of(step.index)
    assert way is not None
    assert [o.artifact for o in way.operations if o.in_place] == ["g@1"]
    assert Oracle(plan).run() == set()


def live_after(plan: Plan) -> LiveState:
    end = plan.state_at(len(plan.milestones) - 1)
    return LiveState(serving=end.serving, releases=plan.releases, instances=end.instances, lines=plan.lines)


def g_before(before: Declaration) -> str:
    return releases_of(before)["default"].slots["g"].instance_id


def test_what_was_overwritten_stays_where_it_is_and_runs_side_by_side_again_once_there_is_room() -> None:
    before, after = declared("1", 8), declared("2", 8)
    live = live_after(make_plan(after, live_as_declared(before)))
    assert make_plan(after, live).empty
    again = make_plan(before, live)
    assert [o.instance for o in again.operations if o.in_place] == ["p/g/" + g_before(before)]
    assert Oracle(again).run() == set()
    roomy = make_plan(declared("1", 9), live)
    assert not any(o.in_place for o in roomy.operations)
    assert [o.kind for o in roomy.operations if o.instance] == ["provision", "retire"]
    assert Oracle(roomy).run() == set()
    assert make_plan(declared("1", 9), live_after(roomy)).empty


def test_a_group_is_overwritten_only_in_a_declared_pause() -> None:
    before, after = declared("1", 8), declared("2", 8, "2")
    with pytest.raises(CapacityError, match=r"must switch together .* unless 'rollout: \{maintenance_pause: true\}'"):
        make_plan(after, live_as_declared(before))
    pause = "rollout: {maintenance_pause: true}\n"
    plan = make_plan(declared("2", 8, "2", pause), live_as_declared(before))
    assert [m.kind for m in plan.milestones if m.step] == ["pause", "pause", "shift"]
    assert [o.component for o in plan.operations if o.in_place] == ["g"]
    assert Oracle(plan).run() == set()


def test_what_another_line_goes_on_with_is_not_overwritten() -> None:
    channel = "channels: {old: {route: {segment: old}, components: {g: {artifact: g@1}}}}\n"
    before, after = declared("1", 9, extra=channel), declared("2", 9, extra=channel)
    full = Environment(capacity={"accelerators": 8})
    with pytest.raises(CapacityError, match="channel 'old' goes on with its old version"):
        make_plan(after.model_copy(update={"environments": {"prod": full}}), live_as_declared(before))


@given(transitions(max_pipelines=1))
def test_a_plan_overwrites_for_room_only_what_has_none_side_by_side(transition: Transition) -> None:
    live = live_as_declared(transition.released)
    try:
        plan = make_plan(transition.declared, live)
    except UnsafePlan:
        raise
    except PlannerError:
        assume(False)
        raise
    places = transition.declared.environments["prod"]
    free = places.model_copy(update={"capacity": {}, "regions": dict.fromkeys(places.regions, Region())})
    roomy = make_plan(transition.declared.model_copy(update={"environments": {"prod": free}}), live)
    once = {o.instance for o in roomy.operations if o.in_place}
    for operation in plan.operations:
        if operation.in_place and operation.instance not in once:
            assert "don't fit" in operation.why
            assert any(note.startswith(f"{operation.component} changes in place because") for note in plan.notes)


@given(transitions(max_slots=3, max_pipelines=1))
def test_there_and_back_again_is_safe_wherever_the_first_plan_has_put_things(transition: Transition) -> None:
    places = transition.declared.environments
    first = transition.released.model_copy(update={"environments": places})
    try:
        there = make_plan(transition.declared, live_as_declared(first))
        live = live_after(there)
        assert make_plan(transition.declared, live).empty
        back = make_plan(first, live)
    except UnsafePlan:
        raise
    except PlannerError:
        assume(False)
        raise
    event("in place for room" if any(slot.held_in for r in live.releases.values() for slot in r.slots.values()) else "")
    assert Oracle(back).run() == set()
    assert make_plan(first, live_after(back)).empty
