"""The live split for a whole trace at once: `Router`'s decision for every row, as arrays.

Tracks, routes, audiences and buckets come from `rollcast.planner.routing.split.Router`; nothing is decided here, it is
only decided for each distinct set of attributes and each distinct key instead of each request.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rollcast.planner.base.audiences import matches
from rollcast.planner.base.buckets import buckets_of
from rollcast.planner.plan.models import Plan, Serving
from rollcast.planner.rollout.state_machine import Arms
from rollcast.planner.routing.split import AudienceShares, Router
from rollcast.simulator.base.draws import Ints, name_number, uniforms
from rollcast.simulator.stations.network import Network
from rollcast.simulator.traffic.recording import Traffic

REFUSED = -1


@dataclass(frozen=True)
class RoutingTable:
    """Where each row of the trace goes: index of its path (REFUSED in a pause) and of its place in `places`."""

    path: Ints
    place: Ints
    places: tuple[tuple[str, str], ...]  # track, audience

    def same(self, other: RoutingTable) -> bool:
        """Whether everybody goes the same way."""
        alike = self.places == other.places and np.array_equal(self.place, other.place)
        return bool(alike and np.array_equal(self.path, other.path))

    def arms(self, arms: Arms, network: Network) -> tuple[Ints, Ints]:
        """For each place and each path: 1 where it belongs to a comparison (places), to its new or old side (paths).

        Sides are 1 for the new release, 0 for the concurrent baseline, -1 for none.
        """
        inside = np.array([int(place == (arms.line, arms.audience)) for place in self.places], np.int64)
        side = np.full(len(network.paths), -1, np.int64)
        if arms.baseline is not None:
            side[network.path_of[arms.baseline]] = 0
        side[network.path_of[arms.candidate]] = 1
        return inside, side


class Routing:
    """Routes one trace through any serving of one plan."""

    def __init__(self, plan: Plan, network: Network, traffic: Traffic) -> None:
        self.plan, self.network, self.traffic = plan, network, traffic
        self.pipelines = sorted({track.pipeline for track in plan.lines.values()})
        self.pipeline = self._pipelines()
        self._buckets: dict[str, Ints] = {}

    def _pipelines(self) -> Ints:
        """Which pipeline each row asks: its attribute `pipeline`, else a draw."""
        traffic = self.traffic
        if len(self.pipelines) == 1:
            return np.zeros(len(traffic), np.int64)
        drawn = uniforms(0, 0, len(traffic), name_number("pipeline"), 0)
        chosen = (drawn * len(self.pipelines)).astype(np.int64)
        for i, attributes in enumerate(traffic.classes):
            if attributes.get("pipeline") in self.pipelines:
                chosen[traffic.attributes == i] = self.pipelines.index(str(attributes["pipeline"]))
        return chosen

    def table(self, serving: Serving) -> RoutingTable:
        """Where every row goes under a serving."""
        rows = len(self.traffic)
        path, place = np.full(rows, REFUSED, np.int64), np.full(rows, -1, np.int64)
        places: dict[tuple[str, str], int] = {}
        for p, pipeline in enumerate(self.pipelines):
            router = Router(pipeline, self.plan.lines, serving, self.plan.audiences)
            decided: dict[tuple[int, int], list[int]] = {}
            for c, attributes in enumerate(self.traffic.classes):
                found = _decide(router, attributes)
                if found is not None:
                    decided.setdefault(found, []).append(c)
            for (track, group), classes in decided.items():
                own = np.isin(self.traffic.attributes, classes) & (self.pipeline == p)
                chosen = router.groups[track][group]
                place[own] = places.setdefault((router.lines[track].id, chosen.audience), len(places))
                path[own] = self._release(chosen, router.salts[track], own)
        return RoutingTable(path, place, tuple(places))

    def _release(self, group: AudienceShares, salt: str, own: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Ints:
        if salt not in self._buckets:
            self._buckets[salt] = buckets_of(salt, self.traffic.keys)
        buckets = self._buckets[salt][self.traffic.key[own]]
        paths = np.array([self.network.path_of[release] for release, _ in group.bounds], np.int64)
        return paths[np.searchsorted([bound for _, bound in group.bounds], buckets, side="right")]


def _decide(router: Router, attributes: object) -> tuple[int, int] | None:
    """Track and group of one attribute set: the part of `Router.route` that no key has a say in."""
    assert isinstance(attributes, dict)
    for i, (route, groups) in enumerate(zip(router.routes, router.groups, strict=True)):
        if route is None or matches(route, attributes):
            if not groups and route is not None:
                continue
            for g, group in enumerate(groups):
                if group.rule is None or matches(group.rule, attributes):
                    return i, g
            return None
    return None
