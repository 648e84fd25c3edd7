"""The safety decisions against brute force: every reachable partial state of small plans."""

from __future__ import annotations

from hypothesis import event, given

from rollcast.planner.errors import PlannerError, UnsafePlan
from rollcast.planner.planning import live_as_declared, make_plan
from rollcast.policies.strategies import Transition, transitions
from tests.planner.every_state import Oracle

SMALL = {"max_slots": 3, "max_pipelines": 1}


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
