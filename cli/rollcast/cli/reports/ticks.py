"""Scales: from values to places in a drawing, with ticks at round values (1, 2, 5 times a power of ten)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from [low, high] to [start, end]."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int, *, of_time: bool = False) -> Iterator[float]:
        """Round values within the scale, about so many; round seconds, minutes, hours or days where it is time."""
        rough = (self.high - self.low) / about
        step = _round_time(rough) if of_time else round_step(rough)
        number = math.ceil(self.low / step - 1e-9)
        while number * step <= self.high + step * 1e-9:
            yield number * step
            number += 1

    def whole(self, about: int) -> Iterator[float]:
        """Whole numbers within the scale, at most about so many."""
        step = max(1, math.ceil((self.high - self.low) / about))
        yield from (float(n) for n in range(math.ceil(self.low), math.floor(self.high) + 1, step))


def scale_of(low: float, high: float, start: float, end: float) -> Scale:
    """A scale that is never empty: an interval of no length is widened."""
    return Scale(low, high if high > low else low + (abs(low) or 1.0), start, end)


def round_step(rough: float) -> float:
    """The least of 1, 2, 5 times a power of ten that is no less than `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _round_time(rough_s: float) -> float:
    if rough_s < _TIMES[0]:
        return round_step(rough_s)
    return next((float(step) for step in _TIMES if step >= rough_s), round_step(rough_s / 86400) * 86400)
