"""What a replay notes of its requests: where each went, when it ended, and what gates read of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rollcast.planner.rollout.state_machine import Arms
from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.engines.interface import Completed
from rollcast.simulator.replay.inputs import ReplayInputs
from rollcast.simulator.replay.outcomes import failed, values_of
from rollcast.simulator.traffic.arrivals import Arrivals

Bools = npt.NDArray[np.bool_]


@dataclass
class _Columns:
    """Columns of the journal that grow together."""

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


class RequestLog:
    """Every request of one replay, by its number."""

    def __init__(self, inputs: ReplayInputs, seed: int, arrivals: Arrivals, rates: Floats) -> None:
        self.inputs, self.seed, self.arrivals, self.rates = inputs, seed, arrivals, rates
        self.count = 0
        self.columns = _Columns.of(len(inputs.traffic))
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
        columns.cost_usd[requests] = self.inputs.cost_usd(columns.path[requests], self.row(requests), completed.uses)
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
        path_of = self.inputs.network.path_of
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
        limits = np.array([self.inputs.timeout_s[track] for track, _ in self.places] + [np.inf])
        late = self.latency_s(requests) > limits[columns.place[requests]]
        broken = columns.failed[requests] | late
        metric = self._metric("error")
        if metric is None:
            return broken.astype(np.float64)
        return np.maximum(broken, self._failures(requests, metric))

    def _metric(self, reads: str) -> int | None:
        return next((i for i, metric in enumerate(self.inputs.metrics) if metric.reads == reads), None)

    def _failures(self, requests: Ints, index: int) -> Floats:
        path = self.columns.path[requests]
        rates = self.rates[index][path, self.inputs.segment[self.row(requests)]]
        return failed(self.seed, requests, np.where(path < 0, 0.0, rates), self.inputs.metrics[index])

    def _drawn(self, requests: Ints, name: str, errors: Floats) -> Floats:
        """A drawn metric. Where there was no answer, a rate has nothing to fail and a mean has no value."""
        index = self._metric(name)
        if index is None:
            return np.full(len(requests), np.nan)
        metric = self.inputs.metrics[index]
        values = values_of(metric, self._failures(requests, index))
        good = np.nan if metric.mean else (metric.low if metric.better == "lower" else metric.high)
        return np.where(errors > 0, good, values)
