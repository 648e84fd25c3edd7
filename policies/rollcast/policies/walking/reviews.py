"""Strategies for reviews: a declaration, what is live, and the plan between them, for rules and walks."""

from __future__ import annotations

from datetime import date

from hypothesis import reject
from hypothesis import strategies as st

from rollcast.planner.errors import PlannerError, UnsafePlan
from rollcast.planner.plan import LiveState
from rollcast.planner.planning import live_as_declared, make_plan
from rollcast.policies.review import Review
from rollcast.policies.strategies.declarations import transitions

A_DAY = date(2026, 11, 24)


@st.composite
def reviews(draw: st.DrawFn, /, *, today: date = A_DAY, **limits: bool | int) -> Review:
    """Reviews of plans that the planner makes, first releases among them. `limits` as of `transitions`."""
    transition = draw(transitions(**limits))  # type: ignore[arg-type]
    first = draw(st.integers(0, 9)) == 9
    live = LiveState() if first else live_as_declared(transition.released)
    try:
        plan = make_plan(transition.declared, live)
    except UnsafePlan:
        raise
    except PlannerError:
        reject()
    return Review(transition.declared, live, plan, today)


__all__ = ["A_DAY", "reviews"]
