"""Clocks of replicas that are not this machine's: what they report is put on this machine's time.

A record says when a request ended by the clock of the replica that served it. Taken as it is, outcomes of a replica
that is an hour slow would fall before the stage, unseen by any gate; those of a fast one would lie in the future.
Replicas say what time it is for them (spec A1), so how far each is off is known. Differences of less than `LEAST_S` are
left alone: they are those of the network.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rollcast.stacks.fleet.control import ReplicaState
from rollcast.stacks.telemetry import RequestRecord

LEAST_S = 2.0
_MOST = 10_000


class Skews:
    """How far the clock of each replica is ahead of this machine's, in seconds; of replicas that are gone, too."""

    def __init__(self) -> None:
        self._ahead_s: OrderedDict[str, float] = OrderedDict()  # the one not heard of for longest is first

    def heard(self, states: Iterable[ReplicaState], wall_s: float) -> None:
        """Takes what replicas say. `wall_s`: this machine's time of the request."""
        for state in states:
            if state.replica is None or state.time is None:
                continue
            self._ahead_s[state.replica] = state.time + state.heard_s - wall_s
            self._ahead_s.move_to_end(state.replica)
            if len(self._ahead_s) > _MOST:
                self._ahead_s.popitem(last=False)

    def of(self, replica: str | None) -> float:
        """Seconds by which a replica is ahead; 0 where it is not known, or too little to matter."""
        ahead_s = self._ahead_s.get(replica, 0.0) if replica is not None else 0.0
        return ahead_s if abs(ahead_s) >= LEAST_S else 0.0

    def furthest(self) -> tuple[str, float] | None:
        """The replica whose clock is furthest off, and by how much; None where all agree."""
        found = max(self._ahead_s, key=lambda replica: abs(self.of(replica)), default=None)
        return (found, self.of(found)) if found is not None and self.of(found) else None

    def righted(self, requests: Sequence[RequestRecord]) -> list[RequestRecord]:
        """The same on this machine's time, in its order."""
        moved = [
            replace(request, time_s=request.time_s - ahead_s) if (ahead_s := self.of(request.replica)) else request
            for request in requests
        ]
        return sorted(moved, key=lambda request: request.time_s)


__all__ = ["LEAST_S", "Skews"]
