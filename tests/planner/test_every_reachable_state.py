"""The safety decisions against brute force: every reachable partial state of small plans."""

from __future__ import annotations

from hypothesis import event, given

from rollcast.planner.base.errors import PlannerError, UnsafePlan
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.safety.invariants import violations
from rollcast.policies.strategies import Transition, transitions
from tests.planner.broken_plans import broken_plans, tied, with_way
from tests.planner.every_state import Oracle


@given(transitions(max_slots=3, max_pipelines=1))
def test_no_state_that_a_plan_can_reach_serves_a_broken_mix(transition: Transition) -> None:
    try:
        plan = make_plan(transition.declared, live_as_declared(transition.released))
    except UnsafePlan:
        raise
    except PlannerError as error:
        event(type(error).__name__)
        return
    event(f"{len({m.kind for m in plan.milestones})} kinds of milestones")
    assert Oracle(plan).run() == set()


INVARIANTS = {
    "consistency": "per-request consistency", "capacity": "capacity", "residency": "residency",
    "reversible": "reversible", "wiring": "declared wiring",
}  # fmt: skip


@given(broken_plans())
def test_a_broken_plan_is_refused_exactly_when_a_reachable_state_is_broken(plan: Plan) -> None:
    decided, reached = list(violations(plan)), Oracle(plan).run()
    if any(v.invariant == "deterministic" for v in decided):
        event("malformed, and refused whatever it reaches")
        return
    for word, invariant in INVARIANTS.items():
        mine = {str(v) for v in decided if v.invariant == invariant}
        theirs = {text for text in reached if text.startswith(word)}
        event(f"{word} {'broken' if theirs else 'kept'}")
        assert bool(mine) == bool(theirs), (mine, theirs)


def two_slots_that_exist_once(first: str, second: str) -> Declaration:
    """`b` of version 2 needs what only `a` of version 2 gives; both are overwritten when they change."""
    return load(
        "pipeline: p\nartifacts:\n"
        "  - {kind: retrieval-index, name: a, version: '1', provides: {c~a~b: '1'}}\n"
        "  - {kind: retrieval-index, name: a, version: '2', provides: {c~a~b: '2'}}\n"
        "  - {kind: model-weights, name: b, version: '1', requires: {c~a~b: '>=1'}}\n"
        "  - {kind: model-weights, name: b, version: '2', requires: {c~a~b: '>=2'}}\n"
        f"components:\n  a: {{artifact: a@{first}, in_place: true}}\n"
        f"  b: {{artifact: b@{second}, in_place: true, upstream: [a]}}\n"
    )


def test_between_two_ordered_overwrites_stands_a_drain_and_without_it_the_plan_is_refused() -> None:
    plan = make_plan(two_slots_that_exist_once("2", "2"), live_as_declared(two_slots_that_exist_once("1", "1")))
    assert [m.title for m in plan.milestones] == ["in place: a", "in place: b"]
    (drain,) = [o for o in plan.operations if o.kind == "drain"]
    assert drain.milestone == 1
    hasty = plan.model_copy(
        update={
            "operations": tuple(o.model_copy(update={"kind": "warm"}) if o == drain else o for o in plan.operations)
        }
    )
    assert any("b@2 requires c~a~b >=2, which a a@1" in v.what for v in violations(hasty))
    assert any("b b@2 is served with a" in text for text in Oracle(hasty).run())
    assert Oracle(plan).run() == set()


def test_a_request_that_passed_the_first_slot_can_not_reach_a_later_content_of_it() -> None:
    """Without the exception for the order of the flow, a drain would be added that nothing needs."""
    old, new = two_slots_that_exist_once("1", "1"), two_slots_that_exist_once("2", "1")
    plan = make_plan(new, live_as_declared(old))
    assert [o.kind for o in plan.operations] == ["provision", "shift"]
    assert Oracle(plan).run() == set()


def two_slots_of_which_the_first_needs_the_second(version: str) -> Declaration:
    """`a` of version 2 needs what only `b`, which comes after it, gives in version 2; both exist once."""
    return load(
        "pipeline: p\nartifacts:\n"
        "  - {kind: retrieval-index, name: a, version: '1', requires: {c~b~a: '>=1'}}\n"
        "  - {kind: retrieval-index, name: a, version: '2', requires: {c~b~a: '>=2'}}\n"
        "  - {kind: model-weights, name: b, version: '1', provides: {c~b~a: '1'}}\n"
        "  - {kind: model-weights, name: b, version: '2', provides: {c~b~a: '2'}}\n"
        f"components:\n  a: {{artifact: a@{version}, in_place: true}}\n"
        f"  b: {{artifact: b@{version}, in_place: true, upstream: [a]}}\n"
    )


def test_a_drain_ends_what_is_older_than_it_even_where_more_requests_come_to_the_same_release() -> None:
    """Who began after a drain reached only what was there since; without the drain, older ones get a broken mix."""
    old, new = map(two_slots_of_which_the_first_needs_the_second, ("1", "2"))
    plan = make_plan(new, live_as_declared(old))
    assert [m.title for m in plan.milestones] == ["in place: b", "in place: a"]
    way = plan.rollback[-1]
    back = ["traffic back", "in place, back: a", "traffic back", "in place, back: b"]
    assert [m.title for m in way.milestones] == back

    def forgetful(drained: bool) -> Plan:
        """The rollback forgets to move traffic a second time, and perhaps the drain after it."""
        steps = tuple(m.model_copy(update={"serving": {}}) if m.index == 2 else m for m in way.milestones)
        kept = [o for o in way.operations if o.milestone != 2 and (drained or o.milestone != 3 or o.kind != "drain")]
        return with_way(plan, way, way.model_copy(update={"milestones": steps, "operations": tied(tuple(kept))}))

    for drained in (True, False):
        mixed = [v for v in violations(forgetful(drained)) if v.invariant == "per-request consistency"]
        reached = {text for text in Oracle(forgetful(drained)).run() if text.startswith("consistency")}
        assert bool(mixed) == bool(reached) == (not drained)


def test_what_is_decided_of_contents_rests_on_one_writing_in_a_milestone_and_no_way_back_from_retiring() -> None:
    plan = make_plan(two_slots_that_exist_once("2", "2"), live_as_declared(two_slots_that_exist_once("1", "1")))
    written = next(o for o in plan.operations if o.kind == "provision")
    again = written.model_copy(update={"id": "again", "release": plan.from_release["default"]})
    twice = plan.model_copy(update={"operations": (*plan.operations, again)})
    assert any("is written twice in one milestone" in v.what for v in violations(twice))
    retire = written.model_copy(update={"id": "retire", "kind": "retire", "instance": "p/elsewhere/1"})
    retiring = plan.model_copy(update={"operations": (*plan.operations, retire)})
    assert any("it retires, and has a rollback" in v.what for v in violations(retiring))
    assert list(violations(plan)) == []
