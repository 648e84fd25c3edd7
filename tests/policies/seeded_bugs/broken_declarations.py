"""Valid declarations, broken in one way each: every one of them must be refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from rollcast.planner.base.audiences import Predicate
from rollcast.planner.declaration.models import (
    Artifact,
    ArtifactKind,
    Channel,
    Component,
    Declaration,
    Environment,
    Region,
    Requirement,
    RolloutSettings,
)
from rollcast.policies.strategies import declarations

Breaks = Callable[[Declaration, str], Declaration]


def _slot(declaration: Declaration, name: str, **change: Any) -> Declaration:
    found = dict(declaration.components)
    found[name] = found[name].model_copy(update=change)
    return declaration.model_copy(update={"components": found})


def _rollout(declaration: Declaration, **change: Any) -> Declaration:
    return declaration.model_copy(update={"rollout": RolloutSettings(**change)})


def _circle(declaration: Declaration, name: str) -> Declaration:
    extra = Component(artifact=declaration.components[name].artifact, upstream=(name,))
    found = _slot(declaration, name, upstream=("loop",))
    return found.model_copy(update={"components": {**found.components, "loop": extra}})


def _shadowed(declaration: Declaration, name: str) -> Declaration:
    wide, narrow = {"segment": ["a", "b"]}, {"segment": "a"}
    channels = {"wide": Channel(route=Predicate(wide)), "narrow": Channel(route=Predicate(narrow))}
    return declaration.model_copy(update={"channels": channels})


def _impossible(declaration: Declaration, name: str) -> Declaration:
    never = Predicate({"all": [{"region": "eu"}, {"region": "us"}]})
    return declaration.model_copy(update={"audiences": {**declaration.audiences, "never": never}})


def _contradiction(declaration: Declaration, name: str) -> Declaration:
    giver = Artifact(kind=ArtifactKind.RERANKER, name="giver", version="1", provides={"wanted": "1"})
    found = _slot(declaration, name, requires={"wanted": Requirement(value=">=2", of="giver")}, upstream=("giver",))
    components = {**found.components, "giver": Component(artifact=giver.reference)}
    return found.model_copy(update={"components": components, "artifacts": (*found.artifacts, giver)})


def _outside(declaration: Declaration, name: str) -> Declaration:
    places = {"prod": Environment(default=True, regions={"eu": Region(), "us": Region()})}
    found = _slot(declaration, name, regions=("us",))
    return found.model_copy(update={"environments": places, "allowed_regions": ("eu",)})


def _too_big(declaration: Declaration, name: str) -> Declaration:
    small = {"prod": Environment(default=True, capacity={"accelerators": 1.0})}
    return _slot(declaration, name, needs={"accelerators": 99.0}).model_copy(update={"environments": small})


BREAKS: dict[str, Breaks] = {
    "percentages fall": lambda d, name: _rollout(d, percent=(50.0, 10.0, 100.0)),
    "not everyone is reached": lambda d, name: _rollout(d, percent=(10.0, 50.0)),
    "an unknown artifact": lambda d, name: _slot(d, name, artifact="nobody@1"),
    "an unknown upstream": lambda d, name: _slot(d, name, upstream=("nobody",)),
    "an artifact twice": lambda d, name: d.model_copy(update={"artifacts": (*d.artifacts, d.artifacts[0])}),
    "a circle": _circle,
    "a shadowed channel": _shadowed,
    "an impossible audience": _impossible,
    "contradicting contracts": _contradiction,
    "outside its regions": _outside,
    "too big": _too_big,
}


@st.composite
def broken_declarations(draw: st.DrawFn, how: str) -> Declaration:
    """Declarations of one pipeline, broken in the way that is named."""
    declaration = draw(declarations(max_pipelines=1, max_slots=3, residency=False, capacity=False))
    name = draw(st.sampled_from(sorted(declaration.components)))
    return BREAKS[how](declaration, name)


__all__ = ["BREAKS", "broken_declarations"]
