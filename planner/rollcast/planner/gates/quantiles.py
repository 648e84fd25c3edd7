"""Two latency quantiles: proof of harm and of no worse than a margin, valid at any time.

At or below its q-quantile x lies each outcome of an arm with a chance of at least q, strictly below it of at most q.
For a known x the count on one side is therefore tested against a fixed chance (Howard and Ramdas 2022,
https://arxiv.org/abs/1906.09712). The baseline's quantile x is not known: a null about two quantiles is a union over x,
and is refuted when every x is (their section on sequential tests of two quantiles). The e-value is the least over x of
the product of both arms' evidence, which needs far fewer outcomes than intervals of the arms that don't overlap.

- harm: H0 `Q_c <= Q_b`. With x = Q_b: outcomes of the candidate exceed x with a chance of at most 1 - q, those of the
  baseline fall below x with a chance of at most q.
- no worse: H0 `Q_c >= Q_b + margin`. With x = Q_b: outcomes of the candidate fall below x + margin with a chance of at
  most q, those of the baseline exceed x with a chance of at most 1 - q.

Each arm's evidence is a likelihood ratio of fixed alternatives to that chance. Mixed are the two arms together (their
alternatives balanced, as in `rates`), each arm alone, so that an x far from both quantiles is refuted too.

Order statistics come from a histogram of logarithmic bins, half a percent wide; an outcome in the bin of x never
counts as evidence, so the statement stays true. Memory is constant.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rollcast.planner.gates.binomial import count_bounds
from rollcast.planner.gates.blocks import block_sizes
from rollcast.planner.gates.outcomes import Bools, Floats
from rollcast.planner.gates.packing import pack, unpack
from rollcast.planner.gates.rates import WEIGHTS, around, mixed

Ints = npt.NDArray[np.int64]

_LOWEST, _GROWTH, _BINS = 1e-4, 1.005, 4200
_LOG_GROWTH = math.log(_GROWTH)
EDGES: Floats = np.asarray(_LOWEST * _GROWTH ** np.arange(_BINS), np.float64)  # upper edge of each bin
TOGETHER, _ALONE = 0.6, 0.2
_LOG_WEIGHTS = np.log(np.concatenate([TOGETHER * WEIGHTS, _ALONE * WEIGHTS, _ALONE * WEIGHTS]))


class Tails:
    """E-values of two counts against known chances: `toward` of the candidate's outcomes, `away` of the baseline's.

    H0: an outcome of the candidate is one of `toward` with a chance of at most `chance`, one of the baseline is one of
    `away` with a chance of at most `1 - chance`.
    """

    def __init__(self, chance: float, sizes: tuple[int, int]) -> None:
        self.chance = chance
        more, less = around(np.array([chance]), sizes)
        same = np.full_like(more, chance)
        c, b = np.concatenate([more, more, same]), np.concatenate([less, same, less])
        hit, miss = np.log(c / chance), np.log1p(-c) - math.log1p(-chance)
        hit_b, miss_b = np.log1p(-b) - math.log1p(-chance), np.log(b / chance)
        self._slopes = np.stack([hit - miss, miss, hit_b - miss_b, miss_b])

    def log_e(self, toward: Ints, n_c: Ints | int, away: Ints, n_b: Ints | int, widened: float = 1.0) -> Floats:
        """Log e-value for counts of any one shape, where so many outcomes count as one."""
        counts = np.broadcast_arrays(toward, n_c, away, n_b)
        return mixed(np.stack(counts, axis=-1) @ self._slopes / widened, _LOG_WEIGHTS)


class QuantileTest:
    """Both tests of one quantile on the histograms of the two arms."""

    def __init__(self, quantile: float, split: float, margin: float) -> None:
        self.quantile, self.margin = quantile, margin
        self.counts: Ints = np.zeros((2, _BINS), np.int64)  # candidate, baseline
        self.n = [0, 0]
        sizes = block_sizes(split)
        self.harm, self.no_worse = tails_of(1 - quantile, sizes), tails_of(quantile, sizes)
        self._shift = shift_of(margin)
        self._below: Ints | None = None

    def observe(self, candidate: Bools, values: Floats) -> None:
        """Outcomes in seconds; anything below 0.1 ms is taken for 0.1 ms, a lost request may be infinite."""
        if not len(values):
            return
        bins = np.ceil(np.log(np.maximum(values, _LOWEST) / _LOWEST) / _LOG_GROWTH)
        places = np.clip(bins, 0, _BINS - 1).astype(np.int64) + np.where(candidate, 0, _BINS)
        more = np.bincount(places, minlength=2 * _BINS).reshape(2, _BINS)
        self.counts = self.counts + more  # a new array: evidence may still hold the old one
        new = int(np.count_nonzero(candidate))
        self.n = [self.n[0] + new, self.n[1] + len(values) - new]
        self._below = None

    def below(self) -> Ints:
        """[2, bins + 1] outcomes of each arm below the start of each bin."""
        if self._below is None:
            self._below = np.zeros((2, _BINS + 1), np.int64)
            np.cumsum(self.counts, axis=1, out=self._below[:, 1:])
        return self._below

    def estimates(self) -> tuple[float, float]:
        """The sample quantiles of candidate and baseline, within half a percent; NaN for an arm without outcomes."""
        c, b = (
            _edge(below[1:], max(1, math.ceil(self.quantile * n))) if n else math.nan
            for below, n in zip(self.below(), self.n, strict=True)
        )
        return c, b

    def log_harm(self, limit: float | None = None, widened: float = 1.0) -> float:
        """Log of the e-value against `Q_c <= Q_b`; with a limit, some upper bound of it where it is below that.

        `widened`: so many outcomes count as one.
        """
        below_c, below_b = self.below()
        exceed_c, under_b = self.n[0] - below_c[1:], below_b[:-1]
        return self._least(self.harm, exceed_c, under_b, limit, widened)

    def log_no_worse(self, limit: float | None = None, widened: float = 1.0) -> float:
        """Log of the e-value against `Q_c >= Q_b + margin`; with a limit as in `log_harm`."""
        below_c, below_b = self.below()
        under_c, exceed_b = below_c[self._shift], self.n[1] - below_b[1:]
        return self._least(self.no_worse, under_c, exceed_b, limit, widened)

    def _least(self, tails: Tails, toward: Ints, away: Ints, limit: float | None, widened: float) -> float:
        """Least log e-value over the bins that x may lie in."""
        n_c, n_b = self.n
        if not n_c or not n_b:
            return 0.0
        if limit is not None:  # one look at the x that both arms together find likely is mostly enough
            pooled = toward - away  # rises or falls all the way
            sought = tails.chance * (n_c + n_b) - n_b
            falls = pooled[0] > pooled[-1]
            likely = int(np.searchsorted(-pooled, -sought) if falls else np.searchsorted(pooled, sought))
            likely = min(likely, _BINS - 1)
            upper = float(tails.log_e(toward[likely], n_c, away[likely], n_b, widened))
            if upper < limit:
                return upper
        changes = np.flatnonzero((toward[1:] != toward[:-1]) | (away[1:] != away[:-1])) + 1
        at = np.concatenate([[0], changes])
        return float(tails.log_e(toward[at], n_c, away[at], n_b, widened).min())

    def to_json(self) -> dict[str, Any]:
        return {"counts": [pack(arm) for arm in self.counts]}

    def restore(self, data: dict[str, Any]) -> None:
        """The histograms of `to_json`."""
        self.counts = np.stack([unpack(arm) for arm in data["counts"]])
        self.n, self._below = [int(arm.sum()) for arm in self.counts], None


@lru_cache(maxsize=64)
def tails_of(chance: float, sizes: tuple[int, int]) -> Tails:
    """The alternatives for a chance and a block's sizes; they never change."""
    return Tails(chance, sizes)


@lru_cache(maxsize=64)
def shift_of(margin: float) -> Ints:
    """[bins] how many bins end at or below the start of each bin plus the margin."""
    starts = np.concatenate([[0.0], EDGES[:-1]])
    return np.searchsorted(EDGES, starts + margin, side="right").astype(np.int64)


def difference_interval(counts: Ints, quantile: float, alpha: float) -> tuple[float, float]:
    """Candidate less baseline quantile, valid at all times together with probability 1 - alpha.

    From both arms' confidence sequences by a union bound: wider than what the tests can prove.
    """
    (low_c, high_c), (low_b, high_b) = (_arm_interval(arm, quantile, alpha / 2) for arm in counts)
    return low_c - high_b, high_c - low_b


def _arm_interval(counts: Ints, quantile: float, alpha: float) -> tuple[float, float]:
    below = np.cumsum(counts)
    n = int(below[-1])
    if not n:
        return 0.0, math.inf
    least, most = count_bounds(n, quantile, alpha)
    low = _edge(below, least) / _GROWTH if least >= 1 else 0.0
    return low, _edge(below, most + 1) if most < n else math.inf


def _edge(below: Ints, rank: int) -> float:
    """Upper edge of the bin that holds the outcome of this rank, counted from 1."""
    return float(EDGES[min(int(np.searchsorted(below, rank)), _BINS - 1)])
