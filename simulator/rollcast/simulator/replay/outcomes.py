"""How good answers are: failure rates with their uncertainty, and each request's outcome.

Evaluation counts give a posterior, Beta(failures + 1/2, passes + 1/2) (Jeffreys' prior); each run of a forecast draws
from it. Where several components of a release have counts for a metric, any of them may fail it. Where none has, the
rate of what serves is Beta(1/2, 99/2) (mean 1 %, 95 % below 5 %), and each changed artifact moves its log-odds by a
normal draw with a standard deviation of 0.35 (95 %: a factor of 2 either way): a wide prior, and the forecast says so.

Where a suite was run on a whole release, its counts stand for the release, in place of those of its artifacts.

Draws belong to artifacts, so an artifact that two releases share is as good in both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from rollcast.planner.base.wording import some_of
from rollcast.planner.declaration.models import Evaluation
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import Release
from rollcast.simulator.base.draws import Floats, Ints, Purpose, name_number, normal_quantile, uniform, uniforms_of
from rollcast.simulator.stations.network import Network

PRIOR_FAILURES, PRIOR_PASSES = 0.5, 49.5
SHIFT = 0.35
_DRAWN = (MetricKind.RATE, MetricKind.MEAN)


@dataclass(frozen=True)
class Metric:
    """A metric whose outcomes are drawn: the field that gates read, and whether a failure is its high value."""

    name: str
    reads: str
    number: int
    better: str
    low: float
    high: float
    mean: bool


def drawn_metrics(gates: Sequence[GateSpec]) -> tuple[Metric, ...]:
    """The metrics whose outcomes don't follow from the replay itself (as latency and cost do)."""
    found = {}
    for gate in gates:
        if gate.kind in _DRAWN and gate.reads not in ("latency_s", "ttft_s", "cost_usd"):
            low, high = gate.bounds or (0.0, 1.0)
            found[gate.reads] = Metric(
                gate.metric,
                gate.reads,
                name_number(gate.reads),
                gate.better or "lower",
                low,
                high,
                gate.kind is MetricKind.MEAN,
            )
    return tuple(found.values())


@dataclass(frozen=True)
class Prior:
    """What is known of one metric: which artifacts have counts, which changes are assumed not to matter."""

    metric: Metric
    counted: Mapping[str, tuple[int, int]]
    wide: bool

    def sentence(self) -> str:
        if self.wide:
            return (
                f"{self.metric.name}: no evaluation counts at all; a wide prior (mean 1 %, 95 % below 5 %; "
                "each changed artifact up to twice as good or bad)"
            )
        known = some_of(f"{ref} {bad} of {total}" for ref, (bad, total) in sorted(self.counted.items()))
        return (
            f"{self.metric.name}: from evaluation counts ({known}); artifacts without counts are taken not to move it"
        )


class Priors:
    """Rates of all drawn metrics for every path of a network."""

    def __init__(self, plan: Plan, network: Network, metrics: Sequence[Metric], segments: Sequence[str]) -> None:
        self.plan, self.network, self.metrics, self.segments = plan, network, tuple(metrics), tuple(segments)
        self.priors = tuple(self._belief(metric) for metric in metrics)
        self._start = {share.release for shares in plan.start.values() for share in shares}

    def _belief(self, metric: Metric) -> Prior:
        counted = {}
        for release in self.plan.releases:
            for name, found in self.plan.counts_of(release, metric.name).items():
                counted[name] = (found.failures, found.total)
        return Prior(metric, counted, not counted)

    def rates(self, seed: int) -> Floats:
        """Failure rates [metric, path, segment] of one run. The last segment is every request without a known one."""
        shape = (len(self.metrics), len(self.network.paths), len(self.segments) + 1)
        found = np.zeros(shape)
        for m, prior in enumerate(self.priors):
            for p, path in enumerate(self.network.paths):
                release = self.plan.releases[path.release]
                for s, segment in enumerate((*self.segments, None)):
                    found[m, p, s] = (
                        self._prior(release, prior.metric, seed)
                        if prior.wide
                        else _posterior(
                            self.plan.counts_of(path.release, prior.metric.name), prior.metric, segment, seed
                        )
                    )
        return found

    def _prior(self, release: Release, metric: Metric, seed: int) -> float:
        base = _beta(PRIOR_FAILURES, PRIOR_PASSES, uniform(seed, 0, metric.number, Purpose.POSTERIOR))
        before = {v.identity for start in self._start for v in self.plan.releases[start].slots.values()}
        log_odds = math.log(base) - math.log1p(-base)
        if self._start:
            for version in release.slots.values():
                if version.identity not in before:
                    name = name_number(f"{version.reference}/{metric.reads}")
                    log_odds += SHIFT * normal_quantile(uniform(seed, 0, name, Purpose.SHIFT))
        return 1 / (1 + math.exp(-log_odds))


def _posterior(known: Mapping[str, Evaluation], metric: Metric, segment: str | None, seed: int) -> float:
    passes = 1.0
    for reference, found in known.items():
        counts = found.segments.get(segment, found) if segment is not None else found
        own = segment if segment in found.segments else ""
        name = name_number(f"{reference}/{metric.reads}/{own}")
        drawn = uniform(seed, 0, name, Purpose.POSTERIOR)
        passes *= 1 - _beta(counts.failures + 0.5, counts.total - counts.failures + 0.5, drawn)
    return 1 - passes


def _beta(a: float, b: float, u: float) -> float:
    return min(max(float(betaincinv(a, b, u)), 1e-9), 1 - 1e-9)


def failed(seed: int, requests: Ints, rates: Floats, metric: Metric) -> Floats:
    """1.0 where a request's answer fails the metric: its draw is below its rate."""
    drawn = uniforms_of(seed, requests, metric.number, int(Purpose.OUTCOME))  # numba is slow to type an enum
    return (drawn < rates).astype(np.float64)


def values_of(metric: Metric, failures: Floats) -> Floats:
    """The field that gates read: the bad end of its range where the answer failed, the good end elsewhere."""
    bad, good = (metric.high, metric.low) if metric.better == "lower" else (metric.low, metric.high)
    found: Floats = np.where(failures > 0, bad, good)
    return found
