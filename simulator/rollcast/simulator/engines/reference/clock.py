"""Simulated time with a total order of events.

simpy breaks ties by the order in which events were made. Here an instant has an order of its own, so that results do
not depend on how a model is written: stations in ascending order (which is the order in which requests pass
them); at a station first capacity, then ends of service, then arrivals, then timeouts, then starts of a batch;
each by request, timeouts in the order in which their requests came.
Times are given absolutely: `now + (time - now)` would not always be `time`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from heapq import heappush

import simpy


class Kind(IntEnum):
    """What happens at a station, in the order in which it happens within an instant."""

    CAPACITY = 0
    END = 1
    ARRIVAL = 2
    TIMEOUT = 3
    START = 4


_REQUESTS = 1 << 44
_SIMPY = 2  # simpy's own priorities are 0 and 1: its events come first


class SimulatedClock(simpy.Environment):
    """A simpy environment that knows the order of stations."""

    def at(self, time_s: float, station: int, kind: Kind, request: int, action: Callable[[], None]) -> None:
        """Calls `action` at a time, in the order that the instant has."""
        event = simpy.Event(self)
        event._ok, event._value = True, None
        assert event.callbacks is not None
        event.callbacks.append(lambda _: action())
        order = ((station * len(Kind) + kind) + _SIMPY) * _REQUESTS + request
        heappush(self._queue, (time_s, order, next(self._eid), event))  # type: ignore[misc]

    def advance(self, until_s: float) -> None:
        """Everything that happens before `until_s`."""
        while self._queue and self.peek() < until_s:
            self.step()
