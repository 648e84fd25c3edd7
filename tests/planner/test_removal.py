"""Taking everything down: safe at every step, and nothing is left."""

from __future__ import annotations

from hypothesis import given

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.planning.planner import live_as_declared, make_removal
from rollcast.planner.safety.invariants import violations
from rollcast.policies.strategies import declarations


@given(declarations())
def test_whatever_serves_can_be_taken_down_and_nothing_is_left(declaration: Declaration) -> None:
    plan = make_removal(declaration, live_as_declared(declaration))
    assert list(violations(plan)) == []
    end = plan.state_at(len(plan.milestones) - 1)
    assert not end.instances
    assert not any(end.serving.values())
    drains = [operation.id for operation in plan.operations if operation.kind == "drain"]
    retires = [operation for operation in plan.operations if operation.kind == "retire"]
    assert drains or not retires, "nothing is retired while requests may be on it"


@given(declarations())
def test_where_nothing_serves_there_is_nothing_to_take_down(declaration: Declaration) -> None:
    live = live_as_declared(declaration).model_copy(update={"serving": {}, "instances": {}})
    assert make_removal(declaration, live).empty
