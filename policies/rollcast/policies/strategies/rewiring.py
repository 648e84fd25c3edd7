"""Strategies for changes of wiring: pairs of valid declarations that have little in common.

The two sides are drawn apart from each other over the same few names, so that anything may become anything: components
are renamed, split, merged, turned round in the flow or swap places and versions; contracts are dropped or move with
their artifact or with their component; channels come and go; timeouts and regions differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from rollcast.planner.base.audiences import Predicate
from rollcast.planner.declaration.models import (
    Artifact,
    ArtifactKind,
    Channel,
    Component,
    ComponentOverride,
    Declaration,
    Environment,
    Pipeline,
    Region,
    Requirement,
    RolloutSettings,
    Strategy,
)
from rollcast.policies.strategies.declarations import REGIONS, ROUTES, Transition

_NAMES = ("a", "b", "c", "d", "e")
_CONTRACTS = ("x", "y")
_KINDS = (ArtifactKind.RETRIEVAL_INDEX, ArtifactKind.MODEL_WEIGHTS)
_TIMEOUTS = st.sampled_from((None, None, 20.0, 600.0))
_FEW, _YES = st.integers(0, 3), st.booleans()


@dataclass(frozen=True, slots=True)
class _Limits:
    """What both sides of one pipeline have in common."""

    once: frozenset[str]
    readable: bool
    prefix: str
    residency: bool


@st.composite
def rewirings(
    draw: st.DrawFn,
    *,
    max_slots: int = 4,
    max_pipelines: int = 1,
    in_place: bool = False,
    readable: bool = False,
    channels: bool = False,
    residency: bool = False,
) -> Transition:
    """What serves and what is declared. `max_slots` (at most 5) of a pipeline, on both sides together.

    `in_place` lets some components exist once. `readable`: contracts are those of the artifact alone and bear the names
    of their ends (`c~PROVIDER~CONSUMER`), so that they can be read off a version; what exists once always is.
    `residency` declares two regions: a track may be allowed one of them, and then all of it runs there.
    """
    count = draw(st.integers(1, max_pipelines))
    one_switch = draw(_YES)
    sides: tuple[list[tuple[list[Artifact], Pipeline]], list[tuple[list[Artifact], Pipeline]]] = ([], [])
    for number in range(count):
        names = _NAMES[: max_slots if not number else 2]
        limits = _Limits(
            once=frozenset(name for name in names if in_place and draw(_FEW) == 3),
            readable=readable or in_place,
            prefix=f"p{number}-" if count > 1 else "",
            residency=residency and draw(_YES),
        )
        together = tuple(draw(st.lists(st.sampled_from(names), unique=True, max_size=3)))
        for side in (0, 1):
            there = draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
            known = [name for name in together if name in there]
            rollout = RolloutSettings(
                strategy=Strategy.BLUE_GREEN if side and one_switch else Strategy.CANARY,
                ship_together=(tuple(known),) if side and len(known) > 1 else (),
                timeout=draw(st.sampled_from((30.0, 90.0))),
            )
            artifacts, pipeline = draw(_pipeline(there, limits, rollout))
            sides[side].append((artifacts, draw(_with_channels(pipeline, limits)) if channels else pipeline))
    environment = Environment(default=True, regions={name: Region() for name in REGIONS}) if residency else None
    return Transition(*(_declaration(drawn, environment) for drawn in sides))


@st.composite
def _pipeline(
    draw: st.DrawFn, order: list[str], limits: _Limits, rollout: RolloutSettings
) -> tuple[list[Artifact], Pipeline]:
    """Components in this order of the flow, contracts that hold, and versions of their own."""
    readable = limits.readable
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
        contract = f"c~{provider}~{consumer}" if readable else contract
        provides[provider][contract] = value
        requires[consumer][contract] = Requirement(value=value, of=provider if draw(_YES) else None)
    strict = limits.residency and draw(_YES)
    artifacts, components = [], {}
    for name in order:
        name_of = draw(st.sampled_from((name, "same")))
        version = draw(st.sampled_from(("1", "2")))
        own = not readable and draw(_YES)  # contracts are the component's own
        key = f"{name_of}-{name}" if name_of == name or not own else name_of
        contracts = {"provides": provides[name], "requires": requires[name]}
        if readable:
            key += "".join(f"-{c[2]}{c[4]}{v}" for c, v in sorted(provides[name].items()))
            key += "".join(f".{c[2]}{c[4]}{w.value}" for c, w in sorted(requires[name].items()))
        kind = _KINDS[name in limits.once]
        artifact = Artifact(kind=kind, name=limits.prefix + key, version=version, **({} if own else contracts))
        artifacts.append(artifact)
        once = name in limits.once
        wide = limits.residency and not once and draw(_YES)
        components[name] = Component(
            artifact=artifact.reference,
            upstream=upstream[name],
            independent_of=tuple(up for up in upstream[name] if draw(_FEW) > 1),
            in_place=once,
            timeout=draw(_TIMEOUTS),
            regions=(REGIONS if wide and not strict else REGIONS[:1]) if limits.residency else (),
            **(contracts if own else {}),
        )
    allowed = REGIONS[:1] if strict else ()
    return artifacts, Pipeline(components=components, rollout=rollout, allowed_regions=allowed)


@st.composite
def _with_channels(draw: st.DrawFn, pipeline: Pipeline, limits: _Limits) -> Pipeline:
    """Up to two channels that differ in parameters, or in where they run, of what can run twice."""
    found: dict[str, Channel] = {}
    for name, route in draw(st.lists(st.sampled_from(ROUTES), unique_by=lambda each: each[0], max_size=2)):
        twice = [slot for slot, component in pipeline.components.items() if not component.in_place]
        chosen = draw(st.lists(st.sampled_from(twice), unique=True, max_size=1)) if twice else []
        overrides = {slot: ComponentOverride(parameters={"channel": name}) for slot in chosen}
        strict = limits.residency and draw(_YES)
        for slot in twice if strict else []:
            known = overrides.get(slot, ComponentOverride())
            overrides[slot] = known.model_copy(update={"regions": REGIONS[:1]})
        allowed = REGIONS[:1] if strict else ()
        found[name] = Channel(route=Predicate.model_validate(route), components=overrides, allowed_regions=allowed)
    return pipeline.model_copy(update={"channels": found})


def _declaration(drawn: list[tuple[list[Artifact], Pipeline]], environment: Environment | None) -> Declaration:
    known = {artifact.reference: artifact for artifacts, _ in drawn for artifact in artifacts}
    common: dict[str, Any] = {"pipeline": "p", "artifacts": tuple(known.values())}
    if environment is not None:
        common["environments"] = {"prod": environment}
    if len(drawn) > 1:
        return Declaration(**common, pipelines={f"p{number}": each for number, (_, each) in enumerate(drawn)})
    ((_, only),) = drawn
    return Declaration(
        **common,
        components=only.components,
        channels=only.channels,
        allowed_regions=only.allowed_regions,
        rollout=only.rollout or RolloutSettings(),
    )


__all__ = ["rewirings"]
