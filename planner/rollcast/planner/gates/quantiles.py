"""Two latency quantiles: confidence sequences of each arm and of their difference.

The number of outcomes at or below the true q-quantile is binomial with rate at least q, so a time-uniform bound on that
count is a bound on the quantile between order statistics (Howard and Ramdas 2022, https://arxiv.org/abs/1906.09712).
Order statistics come from a histogram of logarithmic bins, half a percent wide; bounds are rounded outwards, so the
statement stays true. The difference is bounded by a union bound over the arms.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rollcast.planner.gates.binomial import count_bounds
from rollcast.planner.gates.outcomes import Floats
from rollcast.planner.gates.packing import pack, unpack

_LOWEST, _GROWTH, _BINS = 1e-4, 1.005, 4200
_LOG_GROWTH = math.log(_GROWTH)


class QuantileArm:
    """A streaming histogram of one arm."""

    def __init__(self, quantile: float) -> None:
        self.quantile = quantile
        self.counts = np.zeros(_BINS, np.int64)
        self.n = 0

    def observe(self, values: Floats) -> None:
        if not len(values):
            return
        bins = np.ceil(np.log(np.maximum(values, _LOWEST) / _LOWEST) / _LOG_GROWTH)
        self.counts += np.bincount(np.clip(bins, 0, _BINS - 1).astype(np.int64), minlength=_BINS)
        self.n += len(values)

    def estimate(self) -> float:
        """The sample quantile, within half a percent."""
        return self._edge(max(1, math.ceil(self.quantile * self.n))) if self.n else math.nan

    def interval(self, alpha: float) -> tuple[float, float]:
        """Bounds of the quantile, valid at all times together with probability 1 - alpha."""
        if not self.n:
            return 0.0, math.inf
        least, most = count_bounds(self.n, self.quantile, alpha)
        low = self._edge(least) / _GROWTH if least >= 1 else 0.0
        return low, self._edge(most + 1) if most < self.n else math.inf

    def _edge(self, rank: int) -> float:
        """Upper edge of the bin that holds the outcome of this rank, counted from 1."""
        position = int(np.searchsorted(np.cumsum(self.counts), rank))
        return _LOWEST * _GROWTH ** min(position, _BINS - 1)

    def to_json(self) -> dict[str, Any]:
        return {"quantile": self.quantile, "counts": pack(self.counts), "n": self.n}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> QuantileArm:
        arm = cls(data["quantile"])
        arm.counts, arm.n = unpack(data["counts"]), data["n"]
        return arm
