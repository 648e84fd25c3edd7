"""The safety decisions against brute force: every reachable partial state of small plans."""

from __future__ import annotations

from hypothesis import event, given

from rollcast.planner.errors import PlannerError, UnsafePlan
from rollcast.planner.plan import Plan
from rollcast.planner.planning import live_as_declared, make_plan
from rollcast.planner.safety import violations
from rollcast.policies.strategies import Transition, transitions
from tests.planner.broken_plans import broken_plans
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


@given(broken_plans())
def test_a_broken_plan_is_refused_exactly_when_a_reachable_state_is_broken(plan: Plan) -> None:
    decided = {v.what for v in violations(plan) if v.invariant == "per-request consistency"}
    reached = {text for text in Oracle(plan).run() if text.startswith("consistency")}
    event("broken" if reached else "harmless")
    assert bool(decided) == bool(reached), (decided, reached)
