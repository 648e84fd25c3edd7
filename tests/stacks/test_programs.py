"""A milestone as resources: any plan's can be put in an order, forwards and back, and each flag is written once."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given

from rollcast.planner.base.errors import PlannerError
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Operation, Plan, WorldState, fold
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies import Transition, transitions
from rollcast.stacks.engine.program import DesiredState, nodes_of
from tests.planner.test_rerouted import EU, declared

REACHED = tuple[WorldState, list[Operation]]


def _reached(plan: Plan) -> Iterator[REACHED]:
    """The state that each milestone leads to, with its operations, on every rollback too."""
    for milestone in plan.milestones:
        state = plan.state_at(milestone.index)
        yield state, plan.operations_of(milestone.index)
        way = plan.rollback_of(milestone.index)
        for step in way.milestones if way else ():
            assert way is not None
            state = fold(state, [step], way.operations_of(step.index))
            yield state, way.operations_of(step.index)


def _assert_ordered(plan: Plan) -> None:
    for state, operations in _reached(plan):
        goal = DesiredState(
            rollout="ro-1", settings=plan.settings, state=state, operations=operations, releases=plan.releases,
            lines=plan.lines, audiences=plan.audiences, live_flags={}, definitions={}, digests={},
        )  # fmt: skip
        known: set[str] = set()
        for node in nodes_of(goal):
            assert node.name not in known
            assert known.issuperset(node.after)
            known.add(node.name)


@given(transitions(max_slots=3))
def test_the_resources_of_a_milestone_are_in_an_order(pair: Transition) -> None:
    try:
        plan = make_plan(pair.declared, live_as_declared(pair.released))
    except PlannerError:
        return
    _assert_ordered(plan)


def test_lines_of_one_pipeline_that_wait_for_each_other_are_one_write() -> None:
    wide = {"region": ["eu", "us"]}
    _assert_ordered(make_plan(declared("1", {"a": (wide, "2")}), live_as_declared(declared("1", {"a": (EU, "2")}))))


def test_channels_that_pause_together_with_their_default_line_are_one_write() -> None:
    def both(version: str) -> str:
        slots = (f"  {name}: {{artifact: {name}@{version}, in_place: true}}\n" for name in "mn")
        versions = (
            f"  - {{kind: model-weights, name: {name}, version: '{n}', provides: {{{name}: '{n}'}}, "
            f"requires: {{{other}: '{n}'}}}}\n"
            for name, other in ("mn", "nm")
            for n in (1, 2)
        )
        return (
            f"pipeline: p\nartifacts:\n{''.join(versions)}components:\n{''.join(slots)}"
            "rollout: {maintenance_pause: true}\nchannels: {eu: {route: {region: eu}}}\n"
        )

    plan = make_plan(load(both("2")), live_as_declared(load(both("1"))))
    assert any(milestone.kind == "pause" for milestone in plan.milestones)
    _assert_ordered(plan)
