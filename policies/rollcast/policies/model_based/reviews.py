"""Strategies for reviews: a declaration, what is live, and the plan between them, for rules and walks."""

from __future__ import annotations

from datetime import date

from hypothesis import reject
from hypothesis import strategies as st

from rollcast.planner.base.errors import PlannerError, UnsafePlan
from rollcast.planner.declaration.models import Artifact, ArtifactKind, Declaration, Evaluate, TargetSettings
from rollcast.planner.plan.models import LiveState
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.rules.review import Review
from rollcast.policies.strategies.declarations import transitions

A_DAY = date(2026, 11, 24)


SUITE = Artifact(kind=ArtifactKind.EVALUATION_SUITE, name="suite", version="1")


@st.composite
def reviews(draw: st.DrawFn, /, *, today: date = A_DAY, **limits: bool | int) -> Review:
    """Reviews of plans that the planner makes, first releases among them. `limits` as of `transitions`."""
    transition = draw(transitions(**limits))  # type: ignore[arg-type]
    declared = draw(_demanding(transition.declared))
    first = draw(st.integers(0, 9)) == 9
    live = LiveState() if first else live_as_declared(transition.released)
    try:
        plan = make_plan(declared, live)
    except UnsafePlan:
        raise
    except PlannerError:
        reject()
    return Review(declared, live, plan, today)


@st.composite
def _demanding(draw: st.DrawFn, declaration: Declaration) -> Declaration:
    """Now and then with a suite that each new release must pass, and a data plane that must answer warm."""
    changed: dict[str, object] = {}
    if draw(st.booleans()):
        evaluate = (Evaluate(suite=SUITE.reference, thresholds={"accuracy": 0.5}),)
        changed["rollout"] = declaration.rollout.model_copy(update={"evaluate": evaluate})
        changed["artifacts"] = (*declaration.artifacts, SUITE)
    if draw(st.integers(0, 2)) == 2:
        warm = TargetSettings(endpoint="http://127.0.0.1:1")
        changed["environments"] = {
            name: environment.model_copy(update={"target": warm})
            for name, environment in declaration.environments.items()
        }
    return declaration.model_copy(update=changed)


__all__ = ["A_DAY", "reviews"]
