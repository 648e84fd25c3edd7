"""Requests of one process, by release: how many entered, how many finished, how many are in flight.

The lock is held for an addition, never while a request runs. Releases that are long gone are forgotten, the
oldest first, so that a year of releases takes no more room than a day.
"""

from __future__ import annotations

import threading

MOST = 1000


class ReleaseCounts:
    """Counters since the start of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered: dict[str, int] = {}
        self._finished: dict[str, int] = {}

    def enter(self, release: str) -> None:
        """A request begins on a release."""
        with self._lock:
            self._entered[release] = self._entered.get(release, 0) + 1
            if len(self._entered) > MOST:
                self._forget()

    def leave(self, release: str) -> None:
        """A request on a release ends, whatever became of it."""
        with self._lock:
            self._finished[release] = self._finished.get(release, 0) + 1

    def _forget(self) -> None:
        for release in list(self._entered):
            if len(self._entered) <= MOST:
                return
            if self._entered[release] == self._finished.get(release, 0):
                del self._entered[release]
                self._finished.pop(release, None)

    def read(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        """(in flight, entered, finished) of one moment. Releases without a request in flight are not in the first."""
        with self._lock:
            entered, finished = dict(self._entered), dict(self._finished)
        inflight = {name: count - finished.get(name, 0) for name, count in entered.items()}
        return {name: count for name, count in inflight.items() if count}, entered, finished
