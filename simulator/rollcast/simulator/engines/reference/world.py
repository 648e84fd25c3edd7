"""The reference engine: all stations of a network on one simpy clock."""

from __future__ import annotations

import numpy as np

from rollcast.simulator.base.draws import Floats, Ints, Purpose
from rollcast.simulator.engines.interface import Batch, Completed, Counts, Demand, Disturbances, Visits
from rollcast.simulator.engines.reference.clock import Kind, SimulatedClock
from rollcast.simulator.engines.reference.station import Station, Visit
from rollcast.simulator.stations.kinds import station_of
from rollcast.simulator.stations.network import Network, Path
from rollcast.simulator.traffic.recording import Traffic

_NAN = float("nan")


class RequestOnItsWay:
    """A request on its way: which steps it still waits for."""

    def __init__(self, index: int, row: int, path: Path) -> None:
        self.index, self.row, self.path = index, row, path
        self.waits = {i: len(step.upstream) for i, step in enumerate(path.steps) if step.ordinary}
        self.open = len(path.sinks)
        self.first_token_s = _NAN
        self.ended = False


class Simulation:
    """Simulated time, stations, and requests on their way."""

    def __init__(self, network: Network, traffic: Traffic, seed: int, disturbances: Disturbances | None = None) -> None:
        self.network, self.traffic, self.seed = network, traffic, seed
        self.disturbances = disturbances or Disturbances()
        self.clock = SimulatedClock()
        self.stations = [
            station_of(spec.profile.station)(self, spec, number) for number, spec in enumerate(network.stations)
        ]
        self._ended: list[tuple[float, int, float, bool]] = []
        self._visits: dict[int, list[Visit]] = {}
        self._requests: dict[Visit, RequestOnItsWay] = {}
        self._principals: dict[tuple[int, int], int] = {}  # (request, fallback step) -> step that it answers for
        self._most = -1
        for change in self.disturbances.capacity:
            self._change(change.at_s, self.stations[change.station], change.replicas_down)

    def _change(self, at_s: float, station: Station, replicas_down: int) -> None:
        self.clock.at(at_s, station.number, Kind.CAPACITY, 0, lambda: station.change_capacity(replicas_down))

    # ---- what a replay asks --------------------------------------------------------------------

    def submit(self, batch: Batch) -> None:
        for request, at_s, row, path in zip(
            batch.request.tolist(), batch.arrival_s.tolist(), batch.row.tolist(), batch.path.tolist(), strict=True
        ):
            self._most = max(self._most, request)
            self._begin(at_s, RequestOnItsWay(request, row, self.network.paths[path]))

    def _begin(self, at_s: float, request: RequestOnItsWay) -> None:
        if not request.path.steps:
            self._ended.append((at_s, request.index, _NAN, False))
        for step, waits in request.waits.items():
            if waits == 0:
                self._deliver(at_s, request, step)

    def prefetch(self, station: int, queries: Ints, at_s: float) -> None:
        cache = self.stations[station].cache
        if cache is not None:
            for query in reversed(queries[: cache.cache.prefetch].tolist()):
                cache.keep(query, at_s)

    def advance(self, until_s: float) -> Completed:
        self.clock.advance(until_s)
        ended = sorted(entry for entry in self._ended if entry[0] < until_s)
        self._ended = [entry for entry in self._ended if entry[0] >= until_s]
        return Completed(
            np.array([entry[1] for entry in ended], np.int64), np.array([entry[0] for entry in ended], np.float64),
            np.array([entry[2] for entry in ended], np.float64), np.array([entry[3] for entry in ended], np.bool_),
            self._uses([entry[1] for entry in ended]),
        )  # fmt: skip

    def _uses(self, requests: list[int]) -> Counts:
        uses = np.zeros((len(requests), self.network.width), np.int8)
        for i, request in enumerate(requests):
            for visit in self._visits.get(request, ()):
                uses[i, visit.step] = visit.uses
        return uses

    def visits(self) -> Visits:
        shape = (self._most + 1, self.network.width)
        times: tuple[Floats, Floats, Floats] = (np.full(shape, _NAN), np.full(shape, _NAN), np.full(shape, _NAN))
        uses = np.zeros(shape, np.int8)
        for request, made in self._visits.items():
            for visit in made:
                times[0][request, visit.step], times[1][request, visit.step] = visit.arrived_s, visit.start_s
                times[2][request, visit.step], uses[request, visit.step] = visit.end_s, visit.uses
        return Visits(*times, uses)

    def demand(self) -> tuple[Demand, ...]:
        return tuple(
            Demand(station.busy_s, station.servers, station.visits, station.longest_queue, station.behind_since_s)
            for station in self.stations
        )

    # ---- what stations ask ---------------------------------------------------------------------

    def _deliver(self, at_s: float, request: RequestOnItsWay, step: int) -> None:
        station = self.stations[request.path.steps[step].station]
        traffic = self.traffic
        visit = Visit(
            request.index, request.row, step, int(traffic.input_tokens[request.row]),
            int(traffic.output_tokens[request.row]), int(traffic.query[request.row]), at_s,
        )  # fmt: skip
        self._requests[visit] = request
        self._visits.setdefault(request.index, []).append(visit)
        self.clock.at(at_s, station.number, Kind.ARRIVAL, request.index, lambda: station.enter(visit))

    def leave(self, station: Station, visit: Visit, served: bool) -> None:
        """A visit is over: the request goes on, falls back, or fails."""
        request = self._requests.pop(visit)
        now_s = self.clock.now
        visit.end_s = now_s
        step = request.path.steps[visit.step]
        principal = self._principals.pop((request.index, visit.step), visit.step)
        if not served:
            if step.fallback is not None:
                self._principals[request.index, step.fallback] = principal
                self._deliver(now_s, request, step.fallback)
            elif not request.ended:
                request.ended = True  # what has begun on other branches goes on all the same
                self._ended.append((now_s, request.index, _NAN, True))
            return
        if visit.first_token_s == visit.first_token_s:
            known = request.first_token_s
            request.first_token_s = visit.first_token_s if known != known else max(known, visit.first_token_s)
        self._go_on(request, principal, now_s)

    def _go_on(self, request: RequestOnItsWay, done: int, now_s: float) -> None:
        if done in request.path.sinks:
            request.open -= 1
            if request.open == 0:
                request.ended = True
                self._ended.append((now_s, request.index, request.first_token_s, False))
        for i, step in enumerate(request.path.steps):
            if step.ordinary and done in step.upstream:
                request.waits[i] -= 1
                if request.waits[i] == 0:
                    self._deliver(now_s, request, i)

    def blocks(self, visit: Visit) -> list[int]:
        """The whole prefix blocks of a request's prompt."""
        starts = self.traffic.block_start
        if not len(starts):
            return []
        whole = visit.input_tokens // self.traffic.block_tokens
        first, last = int(starts[visit.row]), int(starts[visit.row + 1])
        found: list[int] = self.traffic.blocks[first : min(last, first + whole)].tolist()
        return found

    def slowed(self, station: Station, at_s: float, took_s: float) -> float:
        """A time at a station, with the slowness of that moment."""
        for slow in self.disturbances.slow:
            if slow.station == station.number and slow.start_s <= at_s < slow.end_s:
                took_s = took_s * slow.factor + slow.added_s
        return took_s

    def disturbed(self, station: Station, visit: Visit, took_s: float) -> float:
        """A service time of a visit, with the slowness of the moment when it starts."""
        return self.slowed(station, visit.start_s, took_s)

    def breaks(self, station: Station, visit: Visit) -> bool:
        """Whether a fault makes this attempt fail."""
        risk = 0.0
        for slow in self.disturbances.slow:
            if slow.station == station.number and slow.start_s <= visit.start_s < slow.end_s:
                risk = max(risk, slow.errors)
        return risk > 0.0 and station.uniform(visit, Purpose.LOST) < risk
