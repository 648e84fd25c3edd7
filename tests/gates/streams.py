"""Outcomes for tests: two arms of users, with or without an effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rollcast.planner.gates.outcomes import Outcomes
from rollcast.planner.gates.spec import GateSpec

RATE = GateSpec(metric="violation_rate", margin=0.02)
MEAN = GateSpec(metric="satisfaction", margin=0.05)
QUANTILE = GateSpec(metric="latency_p95_s", margin=0.3)
SLO = GateSpec(metric="slo_attainment", margin=0.03, slo_s=2.0)
COST = GateSpec(metric="cost_usd", margin=0.002)
EVERY_KIND = (RATE, MEAN, QUANTILE, SLO, COST)


def draw(
    n: int,
    *,
    seed: int = 0,
    split: float = 0.5,
    start_s: float = 0.0,
    every_s: float = 0.1,
    violation: tuple[float, float] = (0.02, 0.02),
    slower: float = 1.0,
) -> Outcomes:
    """n requests of n users with all metrics. `violation` is (new release, baseline)."""
    rng = np.random.default_rng(seed)
    candidate = rng.random(n) < split
    latency = rng.lognormal(0.0, 0.4, n) * np.where(candidate, slower, 1.0)
    values = {
        "violation": (rng.random(n) < np.where(candidate, *violation)).astype(np.float64),
        "satisfaction": rng.beta(4.0, 1.0, n),
        "latency_s": latency,
        "cost_usd": rng.lognormal(-5.0, 1.0, n),
    }
    return Outcomes(start_s + np.arange(n) * every_s, users(n, seed), candidate, values)


def users(n: int, seed: int = 0) -> np.ndarray:
    """Hashed keys of n users."""
    return np.random.default_rng(seed + 1).integers(0, 2**63, n).astype(np.uint64)


def one_field(candidate: Sequence[bool], values: Sequence[float], field: str = "violation") -> Outcomes:
    """Outcomes of one field, a second and a user each."""
    n = len(values)
    return outcomes(np.arange(n, dtype=np.float64), candidate, {field: np.asarray(values, np.float64)})


def outcomes(
    time_s: np.ndarray, candidate: Sequence[bool] | np.ndarray, values: Mapping[str, np.ndarray], seed: int = 0
) -> Outcomes:
    """Outcomes of a user each."""
    return Outcomes(time_s, users(len(time_s), seed), np.asarray(candidate, bool), values)
