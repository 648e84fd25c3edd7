"""Pairs of valid declarations that have little in common: renamed, split, merged, re-wired components, moved contracts.

The two sides are drawn apart from each other over the same few names, so that anything may become anything. What a
name provides and requires belongs to its artifact, or to the component; it may differ while the artifact stays.
"""

from __future__ import annotations

from hypothesis import strategies as st

from rollcast.planner.declaration.models import (
    Artifact,
    ArtifactKind,
    Component,
    Declaration,
    Requirement,
    RolloutSettings,
    Strategy,
)
from rollcast.policies.strategies import Transition

_NAMES = ("a", "b", "c", "d", "e")
_CONTRACTS = ("x", "y")
_KINDS = (ArtifactKind.RETRIEVAL_INDEX, ArtifactKind.MODEL_WEIGHTS)
_TIMEOUTS = st.sampled_from((None, None, 20.0, 600.0))
_FEW = st.integers(0, 3)


@st.composite
def rewired(draw: st.DrawFn, *, max_slots: int = 4, in_place: bool = False) -> Transition:
    """What serves and what is declared.

    `in_place` lets some components exist once. Contracts then are those of the artifact alone, and bear the names of
    their ends: so they can be read off a version, as `every_state` does.
    """
    names = _NAMES[:max_slots]
    once = {name for name in names if in_place and draw(_FEW) == 3}
    one_switch = draw(st.booleans())
    together = tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=3)))
    sides = []
    for side in (0, 1):
        there = draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
        known = [name for name in together if name in there]
        rollout = RolloutSettings(
            strategy=Strategy.BLUE_GREEN if side and one_switch else Strategy.CANARY,
            ship_together=(tuple(known),) if side and len(known) > 1 else (),
            timeout=draw(st.sampled_from((30.0, 90.0))),
        )
        sides.append(draw(_declaration(there, once, rollout, in_place)))
    return Transition(sides[0], sides[1])


@st.composite
def _declaration(
    draw: st.DrawFn, order: list[str], once: set[str], rollout: RolloutSettings, told: bool
) -> Declaration:
    """Components in this order of the flow, contracts that hold, and versions of their own."""
    provides: dict[str, dict[str, str]] = {name: {} for name in order}
    requires: dict[str, dict[str, Requirement]] = {name: {} for name in order}
    upstream = {
        name: tuple(draw(st.lists(st.sampled_from(order[:place]), unique=True, max_size=2))) if place else ()
        for place, name in enumerate(order)
    }
    for contract in _CONTRACTS:
        if len(order) < 2 or draw(_FEW) == 0:
            continue
        value = draw(st.sampled_from(("1", "2")))
        provider, consumer = draw(st.permutations(order))[:2]
        contract = f"c~{provider}~{consumer}" if told else contract
        provides[provider][contract] = value
        requires[consumer][contract] = Requirement(value=value, of=provider if draw(st.booleans()) else None)
    artifacts, components = [], {}
    for name in order:
        name_of = draw(st.sampled_from((name, "same")))
        version = draw(st.sampled_from(("1", "2")))
        own = not told and draw(st.booleans())  # contracts are the component's own
        key = f"{name_of}-{name}" if name_of == name or not own else name_of
        contracts = {"provides": provides[name], "requires": requires[name]}
        if told:
            key += "".join(f"-{c[2]}{c[4]}{v}" for c, v in sorted(provides[name].items()))
            key += "".join(f".{c[2]}{c[4]}{w.value}" for c, w in sorted(requires[name].items()))
        artifact = Artifact(kind=_KINDS[name in once], name=key, version=version, **({} if own else contracts))
        artifacts.append(artifact)
        components[name] = Component(
            artifact=artifact.reference,
            upstream=upstream[name],
            independent_of=tuple(up for up in upstream[name] if draw(_FEW) > 1),
            in_place=name in once,
            timeout=draw(_TIMEOUTS),
            **(contracts if own else {}),
        )
    known = {artifact.reference: artifact for artifact in artifacts}
    return Declaration(pipeline="p", artifacts=tuple(known.values()), components=components, rollout=rollout)
