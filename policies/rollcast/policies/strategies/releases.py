"""Strategies for releases and live states."""

from __future__ import annotations

from hypothesis import strategies as st

from rollcast.planner.plan.models import LiveState
from rollcast.planner.planning.planner import live_as_declared
from rollcast.planner.releases.releases import Release, releases_of
from rollcast.policies.strategies.declarations import declarations


@st.composite
def releases(draw: st.DrawFn, max_slots: int = 5) -> Release:
    """Whole pipeline configurations whose contracts hold."""
    declaration = draw(declarations(max_slots=max_slots))
    return draw(st.sampled_from(list(releases_of(declaration).values())))


@st.composite
def live_states(draw: st.DrawFn, max_slots: int = 5) -> LiveState:
    """Nothing, or every track of a valid declaration on its release."""
    if draw(st.booleans()):
        return LiveState()
    return live_as_declared(draw(declarations(max_slots=max_slots)))


__all__ = ["live_states", "releases"]
