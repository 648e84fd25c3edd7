"""What a replay asks of an engine, and what an engine answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from rollcast.simulator.base.draws import Floats, Ints

Bools = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Completed:
    """Requests that ended, in order of (done_s, request).

    first_token_s is NaN where no station streams. uses [n, width] counts, for each step of a request's path, the
    attempts that somebody charges for, as far as they were begun when the piece of time was over.
    """

    request: Ints
    done_s: Floats
    first_token_s: Floats
    failed: Bools
    uses: Counts


@dataclass(frozen=True)
class Visits:
    """Per request [n] and step of its path [width]: NaN where a step was not visited.

    start_s is when the last attempt began to be served; uses counts the attempts that somebody charges for.
    """

    arrive_s: Floats
    start_s: Floats
    end_s: Floats
    uses: Counts


@dataclass(frozen=True)
class Demand:
    """A station's work over a replay: enough to say whether it keeps up.

    busy_s: service times added over servers (for `llm`, time spent in steps); servers: how many there are;
    queued: the longest queue; behind_since_s: since when the queue has never been empty again, NaN when it was.
    """

    busy_s: float
    servers: int
    requests: int
    longest_queue: int
    behind_since_s: float


@dataclass(frozen=True)
class Batch:
    """Requests that arrive, in order: `first`, `first + 1`, … on paths >= 0 only; REFUSED ones stay outside."""

    request: Ints
    arrival_s: Floats
    row: Ints
    path: Ints


@dataclass(frozen=True)
class CapacityChange:
    """From then on, `servers_down` replicas of a station (counted from the first) do not serve."""

    at_s: float
    station: int
    replicas_down: int


@dataclass(frozen=True)
class Slowdown:
    """While it lasts, service times of a station are multiplied by `factor`, and a fraction of attempts fails."""

    station: int
    start_s: float
    end_s: float
    factor: float = 1.0
    added_s: float = 0.0
    errors: float = 0.0


@dataclass(frozen=True)
class Disturbances:
    """Faults and injected slowness of one replay."""

    capacity: tuple[CapacityChange, ...] = ()
    slow: tuple[Slowdown, ...] = field(default=())


class Engine(Protocol):
    """Simulated time that goes forward in pieces. Nothing later can change what was reported."""

    def submit(self, batch: Batch) -> None:
        """Requests that arrive from the last `advance` on, before the next one."""

    def prefetch(self, station: int, queries: Ints, at_s: float) -> None:
        """Fills the cache of a station that was just warmed."""

    def advance(self, until_s: float) -> Completed:
        """Everything that happens before `until_s`; the requests that ended before it."""

    def visits(self) -> Visits:
        """Every visit so far."""

    def demand(self) -> tuple[Demand, ...]:
        """Every station's work so far."""
