"""Who is served by what: shares as the flag that the data plane evaluates, and the same decision in Python.

One flag for a whole pipeline configuration, never one per component. `flag_of` compiles the shares of a pipeline's
tracks to a flagd flag; `Router` decides exactly as that flag does, for one request or for many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rollcast.planner.base.audiences import JsonLogic, Rule, matches, parse, targeting
from rollcast.planner.base.buckets import BUCKETING, TOTAL_WEIGHT, bucket_of, weight_of
from rollcast.planner.plan.models import EVERYONE, Serving, Share
from rollcast.planner.releases.releases import Release, Track, canonical

PAUSED = "paused"
Audiences = Mapping[str, Mapping[str, Any]]


def flag_key(pipeline: str) -> str:
    """The key of a pipeline's one flag."""
    return f"rollcast-{pipeline}"


def salt_of(track: Track) -> str:
    """What is put before the targeting key: buckets differ between tracks, and change only when it changes."""
    return f"{flag_key(track.pipeline)}/{track.channel}/{track.rollout.salt}:"


class AudienceShares(NamedTuple):
    """One audience of a track and its cumulative weights: ((release, upper bound), …)."""

    audience: str
    rule: Rule | None
    bounds: tuple[tuple[str, int], ...]


def groups_of(shares: Sequence[Share], audiences: Audiences) -> tuple[AudienceShares, ...]:
    """Shares of one line, gathered by audience in their order. The last bound is always the total."""
    found: dict[str, list[tuple[str, int]]] = {}
    for share in shares:
        bounds = found.setdefault(share.audience, [])
        start = bounds[-1][1] if bounds else 0
        bounds.append((share.release, start + weight_of(share.percent)))
    groups = []
    for audience, bounds in found.items():
        rule = None if audience == EVERYONE else parse(audiences[audience])
        closed = (*bounds[:-1], (bounds[-1][0], TOTAL_WEIGHT))
        groups.append(AudienceShares(audience, rule, closed))
    return tuple(groups)


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a request goes."""

    line: str
    audience: str
    release: str


class Router:
    """The decision of one pipeline's flag: track by route, release by audience and sticky bucket."""

    def __init__(self, pipeline: str, tracks: Mapping[str, Track], serving: Serving, audiences: Audiences) -> None:
        own = [track for track in tracks.values() if track.pipeline == pipeline]
        self.lines = sorted(own, key=lambda track: track.turn)
        self.routes: list[Rule | None] = [None if ln.route is None else parse(ln.route) for ln in self.lines]
        self.salts = [salt_of(track) for track in self.lines]
        self.groups = [groups_of(serving.get(track.id, ()), audiences) for track in self.lines]

    def route(self, key: str, attributes: Mapping[str, Any]) -> Routed | None:
        """The track, audience and release of a request; None during a maintenance pause."""
        for track, route, salt, groups in zip(self.lines, self.routes, self.salts, self.groups, strict=True):
            if route is None or matches(route, attributes):
                if not groups and route is not None:
                    continue  # a track that is not released yet leaves its requests to the default channel
                return self._release(track.id, salt, groups, key, attributes)
        return None

    @staticmethod
    def _release(
        track: str, salt: str, groups: tuple[AudienceShares, ...], key: str, attributes: Mapping[str, Any]
    ) -> Routed | None:
        for group in groups:
            if group.rule is None or matches(group.rule, attributes):
                bucket = bucket_of(salt, key)
                release = next(name for name, bound in group.bounds if bucket < bound)
                return Routed(track, group.audience, release)
        return None


def flag_of(
    pipeline: str,
    tracks: Mapping[str, Track],
    serving: Serving,
    releases: Mapping[str, Release],
    audiences: Audiences,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The flagd flag of a pipeline: a variant per release and channel, and the targeting that chooses one."""
    router = Router(pipeline, tracks, serving, audiences)
    variants: dict[str, Any] = {PAUSED: {"release": None, "paused": True}}
    rule: JsonLogic | str = PAUSED
    for track, route, salt, groups in reversed(
        list(zip(router.lines, router.routes, router.salts, router.groups, strict=True))
    ):
        if not groups and route is not None:
            continue
        for release in sorted({share.release for share in serving.get(track.id, ())}):
            variants[_variant(release, track)] = releases[release].variant(track.channel)
        chosen = _chain(groups, salt, track)
        rule = chosen if route is None else {"if": [targeting(route), chosen, rule]}
    shares = {ln.id: [s.model_dump(mode="json") for s in serving.get(ln.id, ())] for ln in router.lines}
    return {
        "state": "ENABLED",
        "variants": variants,
        "defaultVariant": PAUSED,
        "targeting": rule if isinstance(rule, dict) else {"if": [True, rule]},
        "metadata": {"rollcast_bucketing": BUCKETING, **(metadata or {}), "rollcast_serving": _compact(shares)},
    }


def _compact(shares: Any) -> str:
    """Shares as text: flag metadata may only hold plain values."""
    return canonical(shares)


def _variant(release: str, track: Track) -> str:
    return release if track.channel == "default" else f"{release}.{track.channel}"


def _chain(groups: Sequence[AudienceShares], salt: str, track: Track) -> JsonLogic | str:
    rule: JsonLogic | str = PAUSED
    for group in reversed(groups):
        chosen = _fraction(group, salt, track)
        rule = chosen if group.rule is None else {"if": [targeting(group.rule), chosen, rule]}
    return rule


def _fraction(group: AudienceShares, salt: str, track: Track) -> JsonLogic | str:
    if len(group.bounds) == 1:
        return _variant(group.bounds[0][0], track)
    weights, start = [], 0
    for release, bound in group.bounds:
        weights.append([_variant(release, track), bound - start])
        start = bound
    return {"fractional": [{"cat": [salt, {"var": "targetingKey"}]}, *weights]}
