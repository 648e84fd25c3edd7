"""A plan as a network of stations: one for each running instance, and for each release the path of its requests.

Releases that share an instance share its station, so they compete for it as they do live. Stations are numbered so that
every request passes them in ascending order, where the data flow of all releases together allows that (`feed_forward`).

A pool's `overhead_s` keeps no server busy, so it is a station of its own before it, where nobody ever waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import networkx

from rollcast.planner.declaration.models import Price
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import Release, SlotVersion, instance_path
from rollcast.simulator.base.draws import name_number
from rollcast.simulator.base.errors import ProfileError
from rollcast.simulator.stations.distributions import Distribution
from rollcast.simulator.stations.profiles import PoolProfile, Profile, RemoteProfile, profile_of

OVERHEAD = "/overhead"  # ends the names of stations, and of steps, that only take the time of an overhead


@dataclass(frozen=True)
class StationSpec:
    """One instance: what serves, how fast, how many of it."""

    id: str
    slot: str
    reference: str
    number: int  # names the slot in draws: versions of a slot give a request the same luck
    profile: Profile
    replicas: int
    timeout_s: float | None
    price: Price


@dataclass(frozen=True)
class PathStep:
    """One station on a path. `upstream` are indices of steps; `fallback` is tried when this one fails."""

    slot: str
    station: int
    upstream: tuple[int, ...]
    fallback: int | None
    ordinary: bool  # False for a step that only answers as a fallback


@dataclass(frozen=True)
class Path:
    """How a release serves a request: steps in ascending order of station."""

    release: str
    pipeline: str
    steps: tuple[PathStep, ...]
    unprofiled: tuple[str, ...]

    @property
    def sinks(self) -> tuple[int, ...]:
        """Ordinary steps that nothing follows: the request is answered when all of them are done."""
        followed = {u for step in self.steps if step.ordinary for u in step.upstream}
        return tuple(i for i, step in enumerate(self.steps) if step.ordinary and i not in followed)


@dataclass(frozen=True)
class Network:
    """All stations of a plan and the path of every release."""

    stations: tuple[StationSpec, ...]
    paths: tuple[Path, ...]
    path_of: Mapping[str, int]
    feed_forward: bool

    @property
    def width(self) -> int:
        """The most steps of any path."""
        return max((len(path.steps) for path in self.paths), default=0)


def network_of(plan: Plan) -> Network:
    """The network of all releases of a plan. Raises ProfileError."""
    specs: dict[str, StationSpec] = {}
    flows = networkx.DiGraph()
    for release in plan.releases.values():
        for slot, version in release.slots.items():
            spec = _station(release, slot, version)
            if spec is not None:
                for each in (*overhead_of(spec), spec):
                    specs.setdefault(each.id, each)
                    flows.add_node(each.id)
        _flow(flows, release)
    feed_forward = networkx.is_directed_acyclic_graph(flows)
    order = list(networkx.lexicographical_topological_sort(flows)) if feed_forward else sorted(specs)
    number = {id_: i for i, id_ in enumerate(order)}
    paths = tuple(_path(release_id, release, number) for release_id, release in plan.releases.items())
    return Network(
        tuple(specs[id_] for id_ in order), paths, {path.release: i for i, path in enumerate(paths)}, feed_forward
    )


def station_id(release: Release, slot: str) -> str:
    """The instance that serves a slot of a release; versions of an in-place slot are distinguished."""
    version = release.slots[slot]
    path = instance_path(release.pipeline, slot, version)
    return f"{path}/{version.instance_id}" if version.in_place else path


def _station(release: Release, slot: str, version: SlotVersion) -> StationSpec | None:
    profile = profile_of(version.artifact)
    if profile is None:
        return None
    owner = "" if version.shared else release.pipeline
    return StationSpec(
        id=station_id(release, slot), slot=slot, reference=version.reference, number=name_number(f"{owner}/{slot}"),
        profile=profile, replicas=version.replicas, timeout_s=version.timeout_s, price=version.artifact.price,
    )  # fmt: skip


def overhead_of(spec: StationSpec) -> tuple[StationSpec, ...]:
    """The station that takes the time of a pool's overhead; none where it has no overhead."""
    if not isinstance(spec.profile, PoolProfile) or spec.profile.overhead_s == 0:
        return ()
    profile = RemoteProfile(latency_s=Distribution(mean=spec.profile.overhead_s))
    return (
        StationSpec(
            id=spec.id + OVERHEAD, slot=spec.slot + OVERHEAD, reference=spec.reference,
            number=name_number(f"{spec.number}{OVERHEAD}"), profile=profile, replicas=1, timeout_s=None, price=Price(),
        ),
    )  # fmt: skip


def _has_overhead(release: Release, slot: str) -> bool:
    profile = profile_of(release.slots[slot].artifact)
    return isinstance(profile, PoolProfile) and profile.overhead_s > 0


def _entry_id(release: Release, slot: str) -> str:
    """The station at which a slot's requests come in."""
    return station_id(release, slot) + (OVERHEAD if _has_overhead(release, slot) else "")


def _profiled(release: Release) -> set[str]:
    return {slot for slot, version in release.slots.items() if version.artifact.profile is not None}


def _upstream(release: Release, slot: str, profiled: set[str]) -> list[str]:
    """The nearest upstream slots that have a station."""
    found: dict[str, None] = {}
    for upstream in release.slots[slot].upstream:
        for name in [upstream] if upstream in profiled else _upstream(release, upstream, profiled):
            found[name] = None
    return list(found)


def _fallbacks(release: Release) -> set[str]:
    return {version.fallback for version in release.slots.values() if version.fallback is not None}


def _flow(flows: networkx.DiGraph, release: Release) -> None:
    """Adds who passes requests to whom, fallbacks included: their answers go where their principal's would."""
    profiled, spare = _profiled(release), _fallbacks(release)
    for slot in profiled:
        entry = _entry_id(release, slot)
        if entry != station_id(release, slot):
            _refuse_spare(slot, spare)
            flows.add_edge(entry, station_id(release, slot))
        fallback = release.slots[slot].fallback
        if fallback is not None and fallback not in profiled:
            raise ProfileError(
                f"component {slot} falls back to {fallback}, which has no profile. Give its artifact a 'profile'."
            )
        if fallback is not None:
            flows.add_edge(station_id(release, slot), station_id(release, fallback))
        for upstream in _upstream(release, slot, profiled):
            if slot in spare:
                continue
            flows.add_edge(station_id(release, upstream), entry)
            other = release.slots[upstream].fallback
            while other is not None:
                flows.add_edge(station_id(release, other), entry)
                other = release.slots[other].fallback


def _refuse_spare(slot: str, spare: set[str]) -> None:
    if slot in spare:
        raise ProfileError(
            f"component {slot} is a fallback, and its profile has an 'overhead_s': only what serves first may have "
            "one. Add it to its 'service_s'."
        )


def _path(release_id: str, release: Release, number: Mapping[str, int]) -> Path:
    profiled, spare = _profiled(release), _fallbacks(release)
    stations = {slot: number[station_id(release, slot)] for slot in profiled}
    stations |= {slot + OVERHEAD: number[_entry_id(release, slot)] for slot in profiled if _has_overhead(release, slot)}
    names = sorted(stations, key=lambda name: stations[name])
    place = {name: i for i, name in enumerate(names)}
    steps = []
    for name in names:
        slot = name.removesuffix(OVERHEAD)
        fallback = release.slots[slot].fallback if name == slot else None
        before = [] if slot in spare else _upstream(release, slot, profiled)
        upstream = [slot + OVERHEAD] if name == slot and slot + OVERHEAD in place else before
        steps.append(
            PathStep(
                slot=name,
                station=stations[name],
                upstream=tuple(place[each] for each in upstream),
                fallback=None if fallback is None else place[fallback],
                ordinary=slot not in spare,
            )
        )
    missing = [s for s in release.slots if s not in profiled and "." not in s]
    return Path(release_id, release.pipeline, tuple(steps), tuple(missing))
