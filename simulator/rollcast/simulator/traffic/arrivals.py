"""The requests of a replay: the trace, repeated as often as the rollout needs.

Request g is row g % n of repetition g // n. Its number is what its luck belongs to, so a repetition asks the same
questions at the same moments with new luck.
"""

from __future__ import annotations

import numpy as np

from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.traffic.recording import Traffic


class Arrivals:
    """Numbers and times of requests, in order."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic = traffic
        self.rows = len(traffic)

    def times(self, requests: Ints) -> Floats:
        """When requests arrive."""
        laps, rows = np.divmod(requests, self.rows)
        return laps * self.traffic.span_s + self.traffic.arrival_s[rows]

    def before(self, time_s: float) -> int:
        """How many requests arrive before a time."""
        if time_s <= 0:
            return 0
        lap = int(time_s // self.traffic.span_s)
        rows = int(np.searchsorted(self.traffic.arrival_s, time_s - lap * self.traffic.span_s))
        count = lap * self.rows + rows
        while count > 0 and self._time(count - 1) >= time_s:
            count -= 1
        while self._time(count) < time_s:
            count += 1
        return count

    def _time(self, request: int) -> float:
        lap, row = divmod(request, self.rows)
        return lap * self.traffic.span_s + float(self.traffic.arrival_s[row])
