"""The data plane's own counters against telemetry: requests that are not seen can't be judged.

Every replica counts the requests that it finished on each release (`targets.control`). Their growth since a stage
began is held against what telemetry brought of the same releases since then. Both are compared at moments that
telemetry has passed: at the time of its newest record, less `MARGIN_S` for clocks that differ. So what is only late is
not missed, and no clock of a replica has to agree with this one by more than that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from rollcast.stacks.targets.control import ReplicaState
from rollcast.stacks.targets.fleet import Fleet

MARGIN_S = 1.0
_EVERY_S = 0.5
_ASK_S = 1.0
_MOST_SAMPLES = 7200
Compared = tuple[int, int, int, int]


@dataclass(frozen=True)
class _Sample:
    """At a moment of this machine's clock: requests finished by the counters, and shown by telemetry."""

    wall_s: float
    finished: int
    shown: int


class Counters:
    """Growth of the counters of a fleet in one stage. `kept` is what another driver goes on from."""

    def __init__(self, fleet: Fleet, releases: Collection[str], kept: dict[str, Any]) -> None:
        self._fleet, self._releases, self._kept = fleet, frozenset(releases), kept
        self._samples: deque[_Sample] = deque(maxlen=_MOST_SAMPLES)
        self._asked_s = float("-inf")

    def new_stage(self) -> None:
        """A stage begins: growth starts at nothing, and is known only where every replica counts."""
        self._samples.clear()
        self._kept.clear()
        if self._fleet:
            states = self._fleet.known_states(_ASK_S)
            if len(states) == len(self._fleet.controls) and all(
                state.finished is not None for state in states.values()
            ):
                self._kept.update(grown=0, last={address: _counts(state) for address, state in states.items()})

    def poll(self, wall_s: float, shown: int) -> None:
        """Asks the replicas, about twice a second. `shown`: requests that telemetry has brought so far."""
        if not self._kept or time.monotonic() - self._asked_s < _EVERY_S:
            return
        self._asked_s = time.monotonic()
        states = self._fleet.known_states(_ASK_S)
        for address, state in states.items():
            if state.finished is None:
                self._kept.clear()
                return
            before = self._kept["last"].get(address) or {"replica": None, "finished": {}}
            self._kept["grown"] += self._growth(before, state)
            self._kept["last"][address] = _counts(state)
        if len(states) == len(self._fleet.controls):
            self._samples.append(_Sample(wall_s, self._kept["grown"], shown))

    def _growth(self, before: Mapping[str, Any], state: ReplicaState) -> int:
        """Requests that one replica finished since; a replica that began again counts from nothing."""
        now, then = state.finished or {}, before["finished"]
        again = state.replica != before["replica"] or any(now.get(name, 0) < count for name, count in then.items())
        return sum(count - (0 if again else then.get(name, 0)) for name, count in now.items() if name in self._releases)

    def compared(self, newest_s: float) -> Compared | None:
        """What the guard of a stage takes (`Guards.counted`); None before there is anything to compare.

        newest_s: time of the newest record that telemetry has brought.
        """
        if len(self._samples) < 2:
            return None
        first, now = self._samples[0], self._samples[-1]
        passed = [sample for sample in self._samples if sample.wall_s <= min(newest_s, now.wall_s) - MARGIN_S]
        settled = [sample for sample in self._samples if sample.wall_s >= first.wall_s + MARGIN_S]
        if not passed or not settled:
            return None
        then, base = passed[-1], settled[0]
        return (
            then.finished - first.finished,
            max(then.shown - base.shown, 0),
            now.finished - first.finished,
            now.shown - first.shown,
        )


def _counts(state: ReplicaState) -> dict[str, Any]:
    return {"replica": state.replica, "finished": dict(state.finished or {})}
