"""Strategies for plans: between two declarations, or from nothing to a first release."""

from __future__ import annotations

from hypothesis import reject
from hypothesis import strategies as st

from rollcast.planner.base.errors import PlannerError, UnsafePlan
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies.declarations import transitions


@st.composite
def plans(draw: st.DrawFn, /, *, empty: bool = False, **limits: bool | int) -> Plan:
    """Plans that passed every invariant. `empty` allows plans without a change; `limits` as of `transitions`."""
    transition = draw(transitions(**limits))  # type: ignore[arg-type]
    first = draw(st.integers(0, 9)) == 9
    live = LiveState() if first else live_as_declared(transition.released)
    try:
        plan = make_plan(transition.declared, live)
    except UnsafePlan:
        raise
    except PlannerError:
        reject()
    if plan.empty and not empty:
        reject()
    return plan


__all__ = ["plans"]
