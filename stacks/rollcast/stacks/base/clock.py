"""The rollout's clock: seconds since it began, which no change of the machine's clock turns back.

While a process lives it follows the monotonic clock, and nothing hurries it. Between processes it goes on by the wall
clock, never backwards: a jump forward between two of them can't be distinguished from time that passed.
A jump of the wall clock is measured, so that a telemetry record's own time can still be placed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

_JUMP_S = 2.0


def moment(seconds: float) -> str:
    """Seconds since 1970 as messages show a moment: in UTC, to the second."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"


@dataclass
class Clock:
    """`base_s` is where an earlier process left off, at wall time `left_s`."""

    base_s: float = 0.0
    left_s: float | None = None
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _offset: float = field(init=False)

    def __post_init__(self) -> None:
        now = self.wall()
        if self.left_s is not None:
            self.base_s += max(0.0, now - self.left_s)
        self._began = self.monotonic()
        self._offset = now - self._began

    def now_s(self) -> float:
        """Seconds of the rollout."""
        return self.base_s + self.monotonic() - self._began

    def wall_s(self) -> float:
        """The machine's clock."""
        return self.wall()

    def jumped_s(self) -> float:
        """How far the wall clock jumped since the last call; 0.0 when it only ran."""
        offset = self.wall() - self.monotonic()
        jump = offset - self._offset
        if abs(jump) < _JUMP_S:
            return 0.0
        self._offset = offset
        return jump

    def at(self, wall_s: float) -> float:
        """The rollout's time of a moment of the wall clock, never later than now."""
        return self.now_s() - max(0.0, self.wall() - wall_s)
