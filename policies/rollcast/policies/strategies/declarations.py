"""Strategies for declarations, and for transitions: what serves, and what is declared to serve next.

Every declaration is valid: `rollcast.planner.loading.cross_checks.check` finds no mistake in it. Every transition is
plannable, or is refused with a reason (no safe order, no room) that is part of what is tested.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from hypothesis import strategies as st

from rollcast.planner.base.audiences import Predicate
from rollcast.planner.capacity.fit import need_of
from rollcast.planner.declaration.models import (
    Bake,
    Channel,
    Component,
    ComponentOverride,
    Declaration,
    Environment,
    Flag,
    Pipeline,
    Region,
    RolloutSettings,
    Stage,
    Strategy,
)
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.planning.steps import instances_of
from rollcast.planner.releases.releases import releases_of
from rollcast.policies.strategies.pipelines import PipelineChange, pipeline_changes

AUDIENCES = {
    "internal": Predicate.model_validate({"segment": "internal"}),
    "beta": Predicate.model_validate({"segment": ["beta", "power"]}),
    "quiet-region": Predicate.model_validate({"region": "nz"}),
}
ROUTES = (
    ("privacy", {"regulatory_domain": "medical"}),
    ("experimental", {"request_family": "experiments"}),
)
REGIONS = ("eu", "us")


@dataclass(frozen=True, slots=True)
class Transition:
    """What serves today (`released`) and what is to serve (`declared`), both valid declarations."""

    released: Declaration
    declared: Declaration


@cache
def percents() -> st.SearchStrategy[tuple[float, ...]]:
    """Rising percentages that end at 100."""
    below = st.lists(st.sampled_from((1.0, 5.0, 12.5, 25.0, 50.0)), unique=True, max_size=2)
    return below.map(lambda found: (*sorted(found), 100.0))


_SOME_AUDIENCES = st.lists(st.sampled_from(sorted(AUDIENCES)), unique=True, max_size=2)
_SOME_ROUTES = st.lists(st.sampled_from(ROUTES), unique_by=lambda route: route[0], max_size=1)
_THEN = st.sampled_from(("hold", "rollback", "advance"))
_SHORTEST, _WARM, _YES = st.sampled_from((60.0, 600.0)), st.sampled_from((0.0, 3600.0)), st.booleans()
_KINDS = [Strategy.CANARY, Strategy.STAGED, Strategy.BLUE_GREEN, Strategy.ALL_AT_ONCE]
_STRATEGIES, _STRATEGIES_AND_FLAG = st.sampled_from(_KINDS), st.sampled_from([*_KINDS, Strategy.FLAG])
_STRICT = ("eu",)
_ALLOWED = st.sampled_from(((), _STRICT))


@st.composite
def stages(draw: st.DrawFn) -> tuple[Stage, ...]:
    """Audiences in order, everyone last."""
    some = draw(_SOME_AUDIENCES)
    return tuple(Stage(audience=name, percent=draw(percents())) for name in [*some, "everyone"])


@st.composite
def rollouts(draw: st.DrawFn, *, flag: bool = False) -> RolloutSettings:
    """Every strategy; `flag` only where nothing but flags changes."""
    strategy = draw(_STRATEGIES_AND_FLAG if flag else _STRATEGIES)
    shortest = draw(_SHORTEST)
    return RolloutSettings(
        strategy=strategy,
        percent=draw(percents()),
        stages=draw(stages()) if strategy is Strategy.STAGED else (),
        bake=Bake(min=shortest, max=4 * shortest, then=draw(_THEN)),
        gates=(GateSpec(metric="error_rate", margin=0.05),) if draw(_YES) else (),
        keep_warm=draw(_WARM),
        maintenance_pause=draw(_YES),
        timeout=30.0,
    )


def environments(
    needed: float = 0.0, regions: tuple[str, ...] = (), *, slack: st.SearchStrategy[float] | None = None
) -> st.SearchStrategy[Environment]:
    """An environment without limits, or with `needed` accelerators and some slack, in all or in its first region."""
    known = {name: Region() for name in regions}
    unlimited = st.just(Environment(default=True, regions=known))
    if not needed:
        return unlimited
    amount = st.integers(0, int(needed) + 2).map(float) if slack is None else slack
    limited = amount.map(
        lambda more: Environment(default=True, regions=known, capacity={"accelerators": needed + more})
    )
    if not regions:
        return st.one_of(unlimited, limited)
    narrow = amount.map(
        lambda more: Environment(
            default=True, regions={**known, regions[0]: Region(capacity={"accelerators": needed + more})}
        )
    )
    return st.one_of(unlimited, limited, narrow)


@st.composite
def transitions(
    draw: st.DrawFn,
    *,
    max_slots: int = 5,
    max_pipelines: int = 2,
    in_place: bool = True,
    channels: bool = True,
    capacity: bool = True,
    residency: bool = True,
    flags: bool = True,
) -> Transition:
    """What serves and what is declared: pipelines, channels, flags, rollout and environment."""
    count = draw(st.integers(1, max_pipelines))
    regions = REGIONS if residency and draw(_YES) else ()
    allowed = draw(_ALLOWED) if regions else ()
    names = [f"p{number}" for number in range(count)]
    changes = [
        draw(pipeline_changes(name, max_slots=max_slots, in_place=in_place, regions=regions, allowed=allowed))
        for name in names
    ]
    rollout = draw(rollouts())
    before, after = ([_pipeline(change, side, allowed) for change in changes] for side in (0, 1))
    if channels:
        for place in range(count):
            before[place], after[place] = draw(_channels(before[place], after[place], regions))
    if flags:
        before = [p.model_copy(update={"flags": draw(feature_flags())}) for p in before]
        after = [p.model_copy(update={"flags": draw(feature_flags())}) for p in after]
    declarations = [_declaration(names, changes, side, (before, after)[side], rollout) for side in (0, 1)]
    needed = max(_needed(declaration) for declaration in declarations) if capacity else 0.0
    environment = draw(environments(needed, regions))
    released, declared = (
        declaration.model_copy(update={"environments": {"prod": environment}}) for declaration in declarations
    )
    return Transition(released, declared)


def declarations(**limits: bool | int) -> st.SearchStrategy[Declaration]:
    """Valid declarations of one or several pipelines."""
    return transitions(**limits).map(lambda transition: transition.declared)  # type: ignore[arg-type]


@cache
def feature_flags() -> st.SearchStrategy[dict[str, Flag]]:
    """Feature flags of a release."""
    return st.dictionaries(
        st.sampled_from(("citations", "memory")), st.booleans().map(lambda on: Flag(value=on)), max_size=2
    )


def _pipeline(change: PipelineChange, side: int, allowed: tuple[str, ...]) -> Pipeline:
    return Pipeline(components=change.components(side), allowed_regions=allowed)


@st.composite
def _channels(
    draw: st.DrawFn, before: Pipeline, after: Pipeline, regions: tuple[str, ...]
) -> tuple[Pipeline, Pipeline]:
    """Channels that differ from the default one in parameters, or in where they run, of slots that can run twice."""
    sides = []
    for pipeline in (before, after):
        found: dict[str, Channel] = {}
        for name, route in draw(_SOME_ROUTES):
            own = [slot for slot, component in pipeline.components.items() if not component.in_place]
            slots = draw(st.lists(st.sampled_from(own), unique=True, max_size=1)) if own else []
            overrides = {slot: ComponentOverride(parameters={"channel": name}) for slot in slots}
            allowed = draw(_ALLOWED) if regions and _may_stay(pipeline) else ()
            for slot in [s for s in own if allowed and not _inside(pipeline.components[s], allowed)]:
                overrides[slot] = overrides.get(slot, ComponentOverride()).model_copy(update={"regions": allowed})
            found[name] = Channel(route=Predicate.model_validate(route), components=overrides, allowed_regions=allowed)
        sides.append(pipeline.model_copy(update={"channels": found}))
    return sides[0], sides[1]


def _may_stay(pipeline: Pipeline) -> bool:
    """Whether a channel of stricter residency is possible: what exists once must run where it allows."""
    components = pipeline.components.values()
    once = [component for component in components if component.in_place]
    return all(_inside(component, _STRICT) for component in once)


def _inside(component: Component, allowed: tuple[str, ...]) -> bool:
    return bool(component.regions) and set(component.regions) <= set(allowed)


def _declaration(
    names: list[str], changes: list[PipelineChange], side: int, pipelines: list[Pipeline], rollout: RolloutSettings
) -> Declaration:
    artifacts = {artifact.reference: artifact for change in changes for artifact in change.artifacts(side)}
    several = len(pipelines) > 1
    one = pipelines[0]
    return Declaration(
        pipeline="generated",
        artifacts=tuple(artifacts.values()),
        components={} if several else one.components,
        flags={} if several else one.flags,
        channels={} if several else one.channels,
        allowed_regions=() if several else one.allowed_regions,
        pipelines=dict(zip(names, pipelines, strict=True)) if several else {},
        audiences=AUDIENCES,
        rollout=rollout,
    )


def _needed(declaration: Declaration) -> float:
    releases = releases_of(declaration)
    slots = {path: r.slots[name] for r in releases.values() for path, (_, name) in instances_of(r).items()}
    return float(need_of(slots.values(), Environment())["", "accelerators"])


__all__ = [
    "AUDIENCES",
    "REGIONS",
    "ROUTES",
    "Transition",
    "declarations",
    "environments",
    "feature_flags",
    "percents",
    "rollouts",
    "stages",
    "transitions",
]
