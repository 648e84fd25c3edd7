"""Intervals that hold a number of a forecast with probability 95 %."""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.forecast.models import Interval

ENOUGH_RUNS = 20  # for intervals from the runs themselves


def share_interval(count: int, total: int) -> Interval:
    """Jeffreys' 95 % interval of a probability (Brown, Cai and DasGupta 2001)."""
    low = float(betaincinv(count + 0.5, total - count + 0.5, 0.025)) if count else 0.0
    high = float(betaincinv(count + 0.5, total - count + 0.5, 0.975)) if count < total else 1.0
    return low, high


def spread(values: Floats) -> Interval | None:
    """Where 95 % of runs are; None of too few runs."""
    known = values[~np.isnan(values)]
    if len(known) < ENOUGH_RUNS:
        return None
    return float(np.quantile(known, 0.025)), float(np.quantile(known, 0.975))


__all__ = ["ENOUGH_RUNS", "share_interval", "spread"]
