"""The data plane's own counters against telemetry: requests that are not seen can't be judged.

Every replica counts the requests that it finished on each release (`fleet.control`). Their growth since a stage
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

from rollcast.planner.gates.guards import Counted
from rollcast.stacks.fleet.control import ReplicaState
from rollcast.stacks.fleet.fleet import Fleet, KnownStates
from rollcast.stacks.rollout.skews import Skews

MARGIN_S = 1.0
_EVERY_S = 0.5
_ASK_S = 1.0
_MOST_SAMPLES = 7200


@dataclass(frozen=True)
class _Sample:
    """At a moment of this machine's clock, by release: requests finished by the counters, and shown by telemetry."""

    wall_s: float
    finished: Mapping[str, int]
    shown: Mapping[str, int]


class Counters:
    """Growth of the counters of a fleet in one stage. `kept` is what another driver goes on from."""

    def __init__(self, fleet: Fleet, releases: Collection[str], kept: dict[str, Any]) -> None:
        self._fleet, self._releases, self._kept = fleet, frozenset(releases), kept
        self._samples: deque[_Sample] = deque(maxlen=_MOST_SAMPLES)
        self._read_s = float("-inf")
        self.skews = Skews()
        if kept:
            self._look()

    def _look(self) -> KnownStates:
        """What the fleet says now. What time it is there is known from it, too."""
        found = self._fleet.known_states(_ASK_S) if self._fleet else KnownStates({}, False)
        self.skews.heard(found.states.values(), time.time())
        return found

    def new_stage(self) -> None:
        """A stage begins: growth starts at nothing, and is known only where every replica counts."""
        self._samples.clear()
        self._kept.clear()
        states, whole = self._look()
        if states and whole and all(state.finished is not None for state in states.values()):
            self._kept.update(grown={}, last={address: _counts(state) for address, state in states.items()})

    def poll(self, wall_s: float, shown: Mapping[str, int]) -> None:
        """Asks the replicas, about twice a second. `shown`: release -> requests that telemetry has brought so far."""
        if not self._kept or time.monotonic() - self._read_s < _EVERY_S:
            return
        self._read_s = time.monotonic()
        states, whole = self._look()
        for address, state in states.items():
            if state.finished is None:
                self._kept.clear()
                return
            before = self._kept["last"].get(address) or {"replica": None, "finished": {}}
            for release, more in self._growth(before, state).items():
                self._kept["grown"][release] = self._kept["grown"].get(release, 0) + more
            self._kept["last"][address] = _counts(state)
        if whole:
            known = {release: shown.get(release, 0) for release in self._releases}
            self._samples.append(_Sample(wall_s, dict(self._kept["grown"]), known))

    def _growth(self, before: Mapping[str, Any], state: ReplicaState) -> dict[str, int]:
        """Requests that one replica finished since; a replica that began again counts from nothing."""
        now, then = state.finished or {}, before["finished"]
        again = state.replica != before["replica"] or any(now.get(name, 0) < count for name, count in then.items())
        return {
            name: count - (0 if again else then.get(name, 0)) for name, count in now.items() if name in self._releases
        }

    def compared(self, newest_s: float) -> dict[str, Counted]:
        """What the guard of a stage takes (`Guards.counted`); empty before there is anything to compare.

        newest_s: time of the newest record that telemetry has brought.
        """
        if len(self._samples) < 2:
            return {}
        first, now = self._samples[0], self._samples[-1]
        passed_s = min(newest_s, now.wall_s) - MARGIN_S
        then = next((sample for sample in reversed(self._samples) if sample.wall_s <= passed_s), None)
        base = next((sample for sample in self._samples if sample.wall_s >= first.wall_s + MARGIN_S), None)
        if then is None or base is None:
            return {}
        return {
            release: (
                then.finished.get(release, 0) - first.finished.get(release, 0),
                max(then.shown[release] - base.shown[release], 0),
                now.finished.get(release, 0) - first.finished.get(release, 0),
                now.shown[release] - first.shown[release],
            )
            for release in sorted({*now.finished, *(name for name, count in now.shown.items() if count)})
        }


def _counts(state: ReplicaState) -> dict[str, Any]:
    return {"replica": state.replica, "finished": dict(state.finished or {})}
