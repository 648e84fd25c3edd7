"""How the evidence of a gate grows with a known regression, and how many blocks a proof takes.

The log e-value of a gate's alternative walks with a known drift and spread from block to block; how likely it is to
have reached the limit at some look is the first-passage probability of Brownian motion with drift (Siegmund 1985,
Sequential Analysis, chapter 3). The chance of a proof is taken as that of the gate's best alternative, after its
share of the mixture is paid for: what the other alternatives add is left out, so times come out somewhat long. A
quantile gate must refute every x; what that costs was set by simulation. Where a proof rests on a handful of outcomes
(a few slow requests in a small arm) the walk is too smooth a picture, and the time may come out too short.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rollcast.planner.gates import means, rates
from rollcast.planner.gates.blocks import block_sizes
from rollcast.planner.gates.mean_gate import cost_bound
from rollcast.planner.gates.outcomes import Floats
from rollcast.planner.gates.quantiles import TOGETHER
from rollcast.planner.gates.spec import GateSpec, MetricKind

_EVERY_X = 2.5  # nats


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of a metric before the rollout, from evaluations, telemetry or a forecast.

    `value` is the rate or mean in the metric's own sense (0.97 for an attainment of 97 %), `deviation` the standard
    deviation of one outcome; a sample of outcomes [n] gives both, and is needed for quantiles.
    """

    value: float | None = None
    deviation: float | None = None
    sample: Floats | None = None


Walk = tuple[Floats, Floats, Floats]  # drift and variance of each alternative in a block, nats to pay before the limit


@dataclass(frozen=True, slots=True)
class Growth:
    """How evidence of one metric grows: walks for a given regression and for none."""

    sizes: tuple[int, int]
    greatest: float
    harm: Callable[[float], Walk]
    no_worse: Callable[[], Walk]


def _rates(spec: GateSpec, split: float, baseline: Baseline) -> Growth:
    sizes = block_sizes(split)
    old = _failure_rate(spec, baseline)

    def harm(regression: float) -> Walk:
        return _rate_walk(min(old + regression, 1 - 1e-6), old, sizes)

    def no_worse() -> Walk:
        rate = np.array([old])
        nearest = rates.nearest_worse(rate, rate, sizes, spec.margin)
        slopes = rates.log_ratios(rate, rate, nearest + spec.margin, nearest, sizes)
        return *_moments(slopes, old, old, sizes), np.array([-math.log(rates.NO_WORSE_WEIGHTS[0])])

    return Growth(sizes, 1 - old, harm, no_worse)


def _rate_walk(new: float, old: float, sizes: tuple[int, int]) -> Walk:
    pooled = np.array([(sizes[0] * new + sizes[1] * old) / sum(sizes)])
    slopes = rates.log_ratios(*rates.around(pooled, sizes), pooled, pooled, sizes)
    return *_moments(slopes, new, old, sizes), -np.log(rates.WEIGHTS)


def _moments(slopes: Floats, new: float, old: float, sizes: tuple[int, int]) -> tuple[Floats, Floats]:
    drift = sizes[0] * new * slopes[0] + sizes[1] * old * slopes[1] + slopes[2]
    variance = sizes[0] * new * (1 - new) * slopes[0] ** 2 + sizes[1] * old * (1 - old) * slopes[1] ** 2
    return drift, variance


def _means(spec: GateSpec, split: float, baseline: Baseline) -> Growth:
    sizes = block_sizes(split)
    deviation, width = _deviation(spec, baseline)
    variance = (deviation / width) ** 2 * (1 / sizes[0] + 1 / sizes[1])

    def walk(shift: float, on_harm: bool) -> Walk:
        spread = np.array([[math.sqrt(max(variance, 1e-6))]])
        staked = means.stakes(spread, np.array([[min(spec.margin / width, 0.999)]]))[0 if on_harm else 1][0]
        drift = staked * shift - staked**2 * (variance + shift**2) / 2
        return drift, staked**2 * variance, -np.log(means.WEIGHTS)

    return Growth(sizes, width, lambda by: walk(by / width, True), lambda: walk(spec.margin / width, False))


def _quantiles(spec: GateSpec, split: float, baseline: Baseline) -> Growth:
    if baseline.sample is None or spec.quantile is None:
        raise ValueError(f"{spec.metric} needs a sample of the baseline's outcomes")
    sizes, sample = block_sizes(split), np.sort(baseline.sample[np.isfinite(baseline.sample)])
    part = sizes[0] / sum(sizes)
    q = spec.quantile
    centre = float(np.quantile(sample, q))
    extra = _EVERY_X - math.log(TOGETHER)

    def exceeds(x: float) -> float:
        count = len(sample) - np.searchsorted(sample, x, side="right")
        return float(np.clip(count / len(sample), 0.5 / len(sample), 1 - 0.5 / len(sample)))

    def harm(regression: float) -> Walk:
        x = _hardest(lambda x: part * exceeds(x - regression) + (1 - part) * exceeds(x), 1 - q, centre, regression)
        return _tail_walk(exceeds(x - regression), exceeds(x), 1 - q, sizes, extra)

    def no_worse() -> Walk:
        x = _hardest(
            lambda x: part * exceeds(x + spec.margin) + (1 - part) * exceeds(x),
            1 - q,
            centre - spec.margin,
            spec.margin,
        )
        return _tail_walk(1 - exceeds(x + spec.margin), 1 - exceeds(x), q, sizes, extra)

    return Growth(sizes, 20 * centre, harm, no_worse)


def _hardest(pooled: Callable[[float], float], chance: float, low: float, width: float) -> float:
    """The x at which both arms together look most like the null."""
    high = low + width
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if pooled(middle) > chance else (low, middle)
    return (low + high) / 2


def _tail_walk(new: float, old: float, chance: float, sizes: tuple[int, int], extra: float) -> Walk:
    pooled = np.array([chance])
    slopes = rates.log_ratios(*rates.around(pooled, sizes), pooled, pooled, sizes)
    return *_moments(slopes, new, old, sizes), extra - np.log(rates.WEIGHTS)


_MODELS: dict[MetricKind, Callable[[GateSpec, float, Baseline], Growth]] = {
    MetricKind.RATE: _rates,
    MetricKind.SLO: _rates,
    MetricKind.MEAN: _means,
    MetricKind.COST: _means,
    MetricKind.QUANTILE: _quantiles,
}


def growth_of(spec: GateSpec, split: float, baseline: Baseline) -> Growth:
    """How the evidence of this gate grows. Raises ValueError where the baseline does not say enough."""
    assert spec.kind is not None
    return _MODELS[spec.kind](spec, split, baseline)


def _failure_rate(spec: GateSpec, baseline: Baseline) -> float:
    if baseline.value is not None:
        value = 1 - baseline.value if spec.better == "higher" else baseline.value
    elif baseline.sample is not None:
        limit = spec.slo_s or 0.5
        above = float(np.mean(baseline.sample[~np.isnan(baseline.sample)] > limit))
        value = 1 - above if spec.better == "higher" and spec.kind is not MetricKind.SLO else above
    else:
        raise ValueError(f"{spec.metric} needs the baseline's rate")
    return min(max(value, 1e-6), 1 - 1e-6)


def _deviation(spec: GateSpec, baseline: Baseline) -> tuple[float, float]:
    """(standard deviation of an outcome within its bounds, width of the bounds)."""
    sample = None if baseline.sample is None else baseline.sample[~np.isnan(baseline.sample)]
    mean = baseline.value if sample is None else float(sample.mean())
    if spec.bounds is not None:
        low, high = spec.bounds
    elif mean is not None:
        low, high = 0.0, float(cost_bound(np.array([mean]), spec.margin))
    else:
        raise ValueError(f"{spec.metric} needs the baseline's mean")
    if sample is not None:
        return float(np.clip(sample, low, high).std()), high - low
    if baseline.deviation is None:
        raise ValueError(f"{spec.metric} needs the baseline's standard deviation")
    return baseline.deviation, high - low


def _reached(drift: float, variance: float, limit: float, blocks: float) -> float:
    """Chance that a walk with this drift has been at the limit within so many blocks."""
    if blocks <= 0 or limit <= 0 or variance <= 0:
        return float(limit <= 0 or (variance <= 0 < drift and drift * blocks >= limit))
    spread = math.sqrt(variance * blocks)
    direct = _phi((drift * blocks - limit) / spread)
    log_back = 2 * drift * limit / variance
    below = _phi((-drift * blocks - limit) / spread)
    back = math.exp(min(log_back + math.log(below), 0.0)) if below > 0 else 0.0
    return min(1.0, direct + back)


def _phi(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def blocks_needed(walk: Walk, limit: float, most: float, power: float) -> float | None:
    """Least number of blocks after which the best alternative has proved it with that chance; None beyond `most`."""
    drift, variance, toll = walk

    def chance(blocks: float) -> float:
        return max(_reached(d, v, limit + t, blocks) for d, v, t in zip(drift, variance, toll, strict=True))

    if not chance(most) >= power:
        return None
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) < power else (low, middle)
        if high - low <= 1e-3 * high:
            break
    return high
