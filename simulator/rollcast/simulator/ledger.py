"""What a replay knows of its requests: where each went, when it ended, and what gates read of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mmh3
import numpy as np
import numpy.typing as npt

from rollcast.planner.plan import Plan
from rollcast.planner.rollout import Arms
from rollcast.simulator.arrivals import Arrivals
from rollcast.simulator.draws import Floats, Ints
from rollcast.simulator.engine import Completed
from rollcast.simulator.network import Network
from rollcast.simulator.outcomes import Metric, failed, values_of
from rollcast.simulator.routing import Routing
from rollcast.simulator.traffic import Traffic

if TYPE_CHECKING:
    from rollcast.simulator.replay import Replayer

Bools = npt.NDArray[np.bool_]
Units = npt.NDArray[np.uint64]


class Scene:
    """What all replays of one forecast share: plan, network, traffic, routing, prices, metrics."""

    def __init__(self, plan: Plan, network: Network, traffic: Traffic, metrics: Sequence[Metric]) -> None:
        self.plan, self.network, self.traffic, self.metrics = plan, network, traffic, tuple(metrics)
        self.routing = Routing(plan, network, traffic)
        self.units = np.array([mmh3.hash64(key, signed=False)[0] for key in traffic.keys], np.uint64)
        self.delays = _delays(plan)
        self.timeout_s = {line.id: line.rollout.timeout for line in plan.lines.values()}
        self.prices = _prices(network)
        self.segments = _segments(plan)
        self.segment = _segment_of_class(traffic, self.segments)[traffic.attributes]

    def unit(self, rows: Ints) -> Units:
        """Hashed targeting keys of rows."""
        return self.units[self.traffic.key[rows]]

    def cost_usd(self, path: Ints, rows: Ints, uses: npt.NDArray[np.int8]) -> Floats:
        """What requests cost: every attempt at every step, by its artifact's price."""
        price = self.prices[path]  # [n, width, 3]
        given, made = self.traffic.input_tokens[rows], self.traffic.output_tokens[rows]
        each = price[:, :, 0] + price[:, :, 1] * given[:, None] + price[:, :, 2] * made[:, None]
        total: Floats = (each * uses).sum(axis=1)
        return total

    def prefetch(self, time: Replayer, release: str, slot: str) -> None:
        """Warms the cache of a slot with what was asked most so far, the more asked first."""
        path = self.network.paths[self.network.path_of[release]]
        step = next((step for step in path.steps if step.slot == slot), None)
        cache = self.network.stations[step.station].profile.cache if step is not None else None
        if step is None or cache is None or not cache.prefetch:
            return
        rows = np.arange(min(time.submitted, len(self.traffic)))
        queries, counts = np.unique(self.traffic.query[rows], return_counts=True)
        most = queries[np.lexsort((queries, -counts))][: cache.prefetch]
        time.engine.prefetch(step.station, most, time.now_s)


def _delays(plan: Plan) -> dict[str, float]:
    """How late each field that gates read becomes known."""
    delays: dict[str, float] = {}
    for line in plan.lines.values():
        for gate in line.rollout.gates:
            delays[gate.reads] = max(gate.label_delay_s, delays.get(gate.reads, 0.0))
    return delays


def _prices(network: Network) -> Floats:
    prices = np.zeros((len(network.paths), network.width, 3))
    for p, path in enumerate(network.paths):
        for s, step in enumerate(path.steps):
            price = network.stations[step.station].price
            prices[p, s] = (
                price.usd_per_request, price.usd_per_1k_input_tokens / 1000, price.usd_per_1k_output_tokens / 1000
            )  # fmt: skip
    return prices


def _segments(plan: Plan) -> tuple[str, ...]:
    return tuple(
        sorted(
            {
                name
                for release in plan.releases.values()
                for version in release.slots.values()
                for found in version.artifact.evaluations.values()
                for name in found.segments
            }
        )
    )


def _segment_of_class(traffic: Traffic, segments: Sequence[str]) -> Ints:
    """Which evaluated segment a set of attributes belongs to: the first that one of its values names."""
    found = np.full(len(traffic.classes), len(segments), np.int64)
    for i, attributes in enumerate(traffic.classes):
        values = [str(attributes["segment"])] if "segment" in attributes else []
        values += [str(value) for value in attributes.values()]
        found[i] = next((segments.index(value) for value in values if value in segments), len(segments))
    return found


@dataclass
class _Columns:
    """Columns of the ledger that grow together."""

    arrival_s: Floats
    done_s: Floats
    first_token_s: Floats
    cost_usd: Floats
    failed: Bools
    path: Ints
    place: Ints

    @classmethod
    def of(cls, size: int) -> _Columns:
        missing, nowhere = np.nan, np.full(size, -1, np.int64)
        return cls(
            arrival_s=np.full(size, missing), done_s=np.full(size, missing), first_token_s=np.full(size, missing),
            cost_usd=np.zeros(size), failed=np.zeros(size, np.bool_), path=nowhere, place=nowhere.copy(),
        )  # fmt: skip


class Ledger:
    """Every request of one replay, by its number."""

    def __init__(self, scene: Scene, seed: int, arrivals: Arrivals, rates: Floats) -> None:
        self.scene, self.seed, self.arrivals, self.rates = scene, seed, arrivals, rates
        self.count = 0
        self.columns = _Columns.of(len(scene.traffic))
        self.places: dict[tuple[str, str], int] = {}

    @property
    def done_s(self) -> Floats:
        return self.columns.done_s

    def row(self, requests: Ints) -> Ints:
        return requests % self.arrivals.rows

    def admit(self, requests: Ints, times: Floats, path: Ints, place: Ints, places: Sequence[tuple[str, str]]) -> None:
        """Requests that arrive. Refused ones (path < 0) fail at once."""
        if not len(requests):
            return
        self._grow(int(requests[-1]) + 1)
        known = np.array([self.places.setdefault(p, len(self.places)) for p in places] + [-1], np.int64)
        columns, own = self.columns, slice(int(requests[0]), int(requests[-1]) + 1)
        columns.arrival_s[own], columns.path[own], columns.place[own] = times, path, known[place]
        refused = path < 0
        columns.done_s[own] = np.where(refused, times, np.nan)
        columns.failed[own] = refused
        self.count = own.stop

    def complete(self, completed: Completed) -> Ints:
        """Requests that ended, in the order in which they did."""
        requests, columns = completed.request, self.columns
        if not len(requests):
            return requests
        columns.done_s[requests], columns.first_token_s[requests] = completed.done_s, completed.first_token_s
        columns.failed[requests] = completed.failed
        columns.cost_usd[requests] = self.scene.cost_usd(columns.path[requests], self.row(requests), completed.uses)
        return requests

    def _grow(self, size: int) -> None:
        have = len(self.columns.done_s)
        if size <= have:
            return
        more = _Columns.of(max(size - have, have))
        for name, column in vars(self.columns).items():
            setattr(self.columns, name, np.concatenate([column, getattr(more, name)]))

    # ---- what gates and forecasts read -----------------------------------------------------------

    def sides(self, requests: Ints, arms: Arms) -> tuple[Ints, Bools]:
        """The requests that a comparison is about, and which of them are on the new release."""
        place = self.places.get((arms.line, arms.audience), -2)
        inside = self.columns.place[requests] == place
        path = self.columns.path[requests]
        path_of = self.scene.network.path_of
        new = inside & (path == path_of[arms.candidate])
        old = inside & (path == path_of[arms.baseline]) if arms.baseline is not None else np.zeros_like(new)
        mine = requests[new | old]
        return mine, new[new | old]

    def latency_s(self, requests: Ints) -> Floats:
        return self.columns.done_s[requests] - self.columns.arrival_s[requests]

    def values(self, requests: Ints, fields: Iterable[str]) -> Mapping[str, Floats]:
        """What gates read of requests that ended."""
        found: dict[str, Floats] = {}
        errors = self.errors(requests)
        for name in fields:
            if name == "latency_s":
                found[name] = self.latency_s(requests)
            elif name == "ttft_s":
                found[name] = self.columns.first_token_s[requests] - self.columns.arrival_s[requests]
            elif name == "cost_usd":
                found[name] = self.columns.cost_usd[requests]
            elif name == "error":
                found[name] = errors
            else:
                found[name] = self._drawn(requests, name, errors)
        return found

    def errors(self, requests: Ints) -> Floats:
        """1.0 where a request had no answer in time: it failed on its way, was late, or its error was drawn."""
        columns = self.columns
        limits = np.array([self.scene.timeout_s[line] for line, _ in self.places] + [np.inf])
        late = self.latency_s(requests) > limits[columns.place[requests]]
        broken = columns.failed[requests] | late
        metric = self._metric("error")
        if metric is None:
            return broken.astype(np.float64)
        return np.maximum(broken, self._failures(requests, metric))

    def _metric(self, reads: str) -> int | None:
        return next((i for i, metric in enumerate(self.scene.metrics) if metric.reads == reads), None)

    def _failures(self, requests: Ints, index: int) -> Floats:
        path = self.columns.path[requests]
        rates = self.rates[index][path, self.scene.segment[self.row(requests)]]
        return failed(self.seed, requests, np.where(path < 0, 0.0, rates), self.scene.metrics[index])

    def _drawn(self, requests: Ints, name: str, errors: Floats) -> Floats:
        """A drawn metric. Where there was no answer, a rate has nothing to fail and a mean has no value."""
        index = self._metric(name)
        if index is None:
            return np.full(len(requests), np.nan)
        metric = self.scene.metrics[index]
        values = values_of(metric, self._failures(requests, index))
        good = np.nan if metric.mean else (metric.low if metric.better == "lower" else metric.high)
        return np.where(errors > 0, good, values)
