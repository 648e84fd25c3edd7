"""Many simulated rollouts at once, judged by the gates' own statistics after every request.

The tests of `rollcast.planner.gates` hold any number of streams that advance in step, so nothing is implemented a
second time here: outcomes are drawn for thousands of rollouts and `RateTest.paths`, `MeanTest.paths` and `QuantileTest`
give the evidence after each of them. (`tests/gates/test_validation.py` holds the drivers equal to `StageGates`.)

Requests come in blocks of the gates' own sizes; between two whole blocks the evidence on rates and means can't change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from rollcast.planner.gates.blocks import block_sizes
from rollcast.planner.gates.mean_gate import WARM_UP, cost_bound
from rollcast.planner.gates.means import MeanTest
from rollcast.planner.gates.quantiles import QuantileTest
from rollcast.planner.gates.rates import RateTest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
KINDS = ("rate", "slo", "mean", "cost", "quantile")
MARGINS = {"rate": 0.02, "slo": 0.03, "mean": 0.05, "cost": 0.002, "quantile": 0.3}
SLO_S, QUANTILE = 2.0, 0.95
_SPREAD = 0.4  # of the logarithm of latency


@dataclass(frozen=True, slots=True)
class World:
    """How one arm's requests turn out. Metrics of a request hang together: a slow one is dearer and disappoints."""

    violation: float = 0.02
    slower: float = 1.0
    dearer: float = 1.0
    unhappier: float = 0.0

    @property
    def quantile_s(self) -> float:
        """The true 95 % latency."""
        return self.slower * math.exp(_SPREAD * norm.ppf(QUANTILE))

    @property
    def slo_missed(self) -> float:
        """The true rate of latencies above the objective."""
        return float(norm.sf(math.log(SLO_S / self.slower) / _SPREAD))


EVERY_FIELD = ("violation", "latency_s", "satisfaction", "cost_usd")
FIELDS = {"rate": "violation", "slo": "latency_s", "mean": "satisfaction", "cost": "cost_usd", "quantile": "latency_s"}


def draw(
    rng: np.random.Generator, shape: tuple[int, ...], world: World, fields: tuple[str, ...] = EVERY_FIELD
) -> dict[str, Floats]:
    """Outcomes of requests of one arm: violation (0 or 1), latency_s, satisfaction, cost_usd."""
    slow = rng.standard_normal(shape)
    found: dict[str, Floats] = {}
    for field in fields:
        if field == "latency_s":
            found[field] = world.slower * np.exp(_SPREAD * slow)
            continue
        own = rng.standard_normal(shape)
        if field == "violation":
            found[field] = (0.3 * slow + math.sqrt(0.91) * own > norm.isf(world.violation)).astype(np.float64)
        elif field == "satisfaction":
            found[field] = np.clip(0.8 - world.unhappier - 0.05 * slow + 0.15 * own, 0.0, 1.0)
        else:
            found[field] = world.dearer * np.exp(-5 + 0.8 * (0.5 * slow + math.sqrt(0.75) * own))
    return found


@dataclass(frozen=True, slots=True)
class Arms:
    """Outcomes of both arms in blocks: field -> [runs, blocks, size]."""

    candidate: dict[str, Floats]
    baseline: dict[str, Floats]
    sizes: tuple[int, int]


def blocks_of(
    rng: np.random.Generator,
    runs: int,
    requests: int,
    split: float,
    candidate: World,
    baseline: World,
    fields: tuple[str, ...] = EVERY_FIELD,
) -> Arms:
    """About this many requests for each of the runs."""
    sizes = block_sizes(split)
    blocks = max(1, requests // sum(sizes))
    return Arms(
        draw(rng, (runs, blocks, sizes[0]), candidate, fields),
        draw(rng, (runs, blocks, sizes[1]), baseline, fields),
        sizes,
    )


def paths(kind: str, arms: Arms, margin: float) -> tuple[Floats, Floats]:
    """Logs of both e-processes after each block, [runs, blocks]: harm, no worse. Not for quantiles."""
    c, b = arms.candidate, arms.baseline
    runs = len(c[FIELDS[kind]])
    if kind == "rate":
        failed_c, failed_b = c["violation"], b["violation"]
    elif kind == "slo":
        failed_c, failed_b = c["latency_s"] > SLO_S, b["latency_s"] > SLO_S
    elif kind == "mean":
        worse_c, worse_b = 1 - c["satisfaction"], 1 - b["satisfaction"]
        return MeanTest(margin, runs).paths(worse_c.mean(axis=2) - worse_b.mean(axis=2))
    else:
        return _cost_paths(c["cost_usd"], b["cost_usd"], margin)
    test = RateTest(arms.sizes, margin, runs)
    return test.paths(failed_c.sum(axis=2, dtype=np.int64), failed_b.sum(axis=2, dtype=np.int64))


def _cost_paths(candidate: Floats, baseline: Floats, margin: float) -> tuple[Floats, Floats]:
    """As a cost gate: whole blocks until there are enough outcomes set the bound and are not judged."""
    runs, _, size = candidate.shape
    first = math.ceil(WARM_UP / (size + baseline.shape[2]))
    head = np.concatenate([candidate[:, :first], baseline[:, :first]], axis=2).reshape(runs, -1)[:, :WARM_UP]
    bound = cost_bound(head, margin)
    cut = [np.minimum(arm / bound[:, None, None], 1.0) for arm in (candidate, baseline)]
    difference = cut[0].mean(axis=2) - cut[1].mean(axis=2)
    harm, no_worse = MeanTest(margin / bound, runs).paths(difference[:, first:])
    before = np.zeros((runs, first))
    return np.concatenate([before, harm], axis=1), np.concatenate([before, no_worse], axis=1)


def in_order(arms: Arms) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Requests [requests] (true for the candidate) and latencies [runs, requests], block after block."""
    c, b = arms.candidate["latency_s"], arms.baseline["latency_s"]
    runs, blocks, size = c.shape
    values = np.concatenate([c, b], axis=2).reshape(runs, -1)
    return np.tile(np.arange(size + b.shape[2]) < size, blocks), values


class QuantileStreams:
    """Quantile tests of many runs. Where a fixed x of the null is not refuted, no proof is possible; the gate's own
    test looks at all the other moments, so the result is exact."""

    def __init__(self, arms: Arms, split: float, margin: float, harm: bool) -> None:
        self.candidate, self.values = in_order(arms)
        self.split, self.margin, self.harm = split, margin, harm

    def screen(self, at_s: list[float]) -> Floats:
        """Log evidence against each x, the least of them, after every request [runs, requests]."""
        test = QuantileTest(QUANTILE, self.split, self.margin)
        tails = test.harm if self.harm else test.no_worse
        n_c, n_b = np.cumsum(self.candidate), np.cumsum(~self.candidate)
        least = np.full(self.values.shape, np.inf)
        for x in at_s:
            if self.harm:
                toward, away = self.values > x, self.values < x
            else:
                toward, away = self.values < x + self.margin, self.values > x
            toward, away = np.cumsum(toward & self.candidate, axis=1), np.cumsum(away & ~self.candidate, axis=1)
            for run in range(len(least)):
                least[run] = np.minimum(least[run], tails.log_e(toward[run], n_c, away[run], n_b))
        return least

    def peaks(self, at_s: list[float], lowest: float) -> Floats:
        """Greatest log e-value of each run over all looks, exact where it is `lowest` or more."""
        screened = self.screen(at_s)
        found = np.minimum(screened.max(axis=1), lowest - 1e-9)
        for run in np.flatnonzero(screened.max(axis=1) >= lowest):
            looks = np.flatnonzero(screened[run] >= lowest)
            found[run] = max((value for _, value in self._looked(int(run), looks, lowest)), default=found[run])
        return found

    def first(self, at_s: list[float], limit: float) -> Floats:
        """Requests until the proof, infinite where there is none."""
        screened = self.screen(at_s)
        found = np.full(len(screened), np.inf)
        for run in range(len(screened)):
            looks = np.flatnonzero(screened[run] >= limit)
            for row, value in self._looked(run, looks, limit):
                if value >= limit:
                    found[run] = row + 1
                    break
        return found

    def _looked(self, run: int, looks: Ints, limit: float) -> Iterator[tuple[int, float]]:
        """(row, log e-value) at the given looks of one run."""
        test = QuantileTest(QUANTILE, self.split, self.margin)
        done = 0
        for row in looks:
            test.observe(self.candidate[done : row + 1], self.values[run, done : row + 1])
            done = row + 1
            yield int(row), (test.log_harm if self.harm else test.log_no_worse)(limit)


def first_block(path: Floats, limit: float) -> Floats:
    """Blocks until a path reaches the limit, infinite where it never does."""
    reached = path >= limit
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


WORSE = {
    "rate": lambda world, by: replace(world, violation=world.violation + by),
    "slo": lambda world, by: replace(world, slower=by),
    "quantile": lambda world, by: replace(world, slower=by),
    "mean": lambda world, by: replace(world, unhappier=by),
    "cost": lambda world, by: replace(world, dearer=by),
}
