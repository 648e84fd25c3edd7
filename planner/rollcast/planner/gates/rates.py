"""Two Bernoulli streams: proof of harm and proof of no worse than a margin, valid at any time.

Per block of k_c candidate and k_b baseline outcomes the e-variable is the likelihood ratio of an alternative (a, b) to
its reverse information projection on the null (Turner, Ly and Grünwald 2021, https://arxiv.org/abs/2106.02693; for
nulls about the difference, Turner and Grünwald 2022, https://arxiv.org/abs/2203.09785). Both nulls are convex sets of
(p_c, p_b), and the logarithm of a block's expected e-value is concave in (p_c, p_b) with its greatest value, zero, at
the projection: the expectation is at most one all over the null, not only at its edge, and the rates may drift.

- harm: H0 `p_c <= p_b`. Alternatives have log odds ratios from a fixed grid, around the pooled rate so far; their
  projection is the pooled rate itself. The e-process is the mixture over the grid.
- no worse: H0 `p_c >= p_b + margin`. Alternatives are no difference at the pooled rate, and the two rates so far; the
  projection is the nearest point (t + margin, t), the constrained maximum likelihood estimate of Farrington and
  Manning 1990 (https://doi.org/10.1002/sim.4780091208, appendix).

Estimates are refreshed at fixed block counts from earlier blocks only, so that the products stay martingales. Between
two refreshes only counts matter: the value doesn't depend on how outcomes were cut into batches.

A test may hold many independent streams that advance in step (`runs`); a gate has one. Memory is constant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from rollcast.planner.gates.outcomes import Floats

Ints = npt.NDArray[np.int64]

LOG_ODDS_RATIOS = np.array([0.2, 0.35, 0.6, 1.0, 1.8, 3.0])
WEIGHTS = np.array([0.2, 0.25, 0.25, 0.15, 0.1, 0.05])
NO_WORSE_WEIGHTS = np.array([0.7, 0.3])
_HARM, _NO_WORSE = slice(0, len(LOG_ODDS_RATIOS)), slice(len(LOG_ODDS_RATIOS), None)
_LOG_WEIGHTS, _LOG_NO_WORSE_WEIGHTS = np.log(WEIGHTS), np.log(NO_WORSE_WEIGHTS)
_ODDS_RATIOS = np.exp(LOG_ODDS_RATIOS)
_PRIOR_FAILURES, _PRIOR_TOTAL = 0.5, 5.0
_TINY = 1e-9


class RateTest:
    """Both e-processes of one rate, for blocks of `sizes` (candidate, baseline) outcomes."""

    def __init__(self, sizes: tuple[int, int], margin: float, runs: int = 1) -> None:
        self.sizes, self.margin = sizes, margin
        self.blocks = 0
        self.failures: Ints = np.zeros((runs, 2), np.int64)  # candidate, baseline
        self.blocks_at_refresh, self.refresh_at = 0, 1
        self.failures_at_refresh = self.failures.copy()
        self.closed: Floats = np.zeros((runs, len(LOG_ODDS_RATIOS) + 2))  # log e-values up to the last refresh
        self._slopes = self._slopes_of(self.failures[:, None], np.zeros(1, np.int64))[:, :, 0]

    def advance(self, candidate: Ints, baseline: Ints) -> None:
        """Take further blocks: failures [runs, blocks] of each arm in each block."""
        self._take(self._totals(candidate, baseline))

    def paths(self, candidate: Ints, baseline: Ints) -> tuple[Floats, Floats]:
        """`advance`, and the logs of both e-processes after each of those blocks, [runs, blocks] each."""
        totals, parts, done = self._totals(candidate, baseline), [], 0
        while done < totals.shape[1]:
            part = totals[:, done : done + self.refresh_at - self.blocks]
            done += part.shape[1]
            log_e = self._log_e(part, np.arange(self.blocks + 1, self.blocks + part.shape[1] + 1))
            parts.append((mixed(log_e[..., _HARM], _LOG_WEIGHTS), mixed(log_e[..., _NO_WORSE], _LOG_NO_WORSE_WEIGHTS)))
            self._take(part)
        return np.concatenate([h for h, _ in parts], axis=1), np.concatenate([n for _, n in parts], axis=1)

    def log_harm(self, widened: float = 1.0) -> Floats:
        """Log of the e-process against `p_c <= p_b`, [runs], where so many outcomes count as one."""
        return mixed(self._log_e(self.failures, self.blocks)[:, _HARM] / widened, _LOG_WEIGHTS)

    def log_no_worse(self, widened: float = 1.0) -> Floats:
        """Log of the e-process against `p_c >= p_b + margin`, [runs], where so many outcomes count as one."""
        return mixed(self._log_e(self.failures, self.blocks)[:, _NO_WORSE] / widened, _LOG_NO_WORSE_WEIGHTS)

    def _totals(self, candidate: Ints, baseline: Ints) -> Ints:
        """Failures [runs, blocks, 2] since the start, after each of those blocks."""
        totals: Ints = np.stack([np.cumsum(candidate, axis=1), np.cumsum(baseline, axis=1)], axis=2)
        return totals + self.failures[:, None, :]

    def _take(self, totals: Ints) -> None:
        """Advances over blocks with these failures since the start.

        All refreshes on the way are worked out at once. What they add up runs in order, so the bits are those of one
        block at a time.
        """
        if not totals.shape[1]:
            return
        first, self.blocks, self.failures = self.blocks, self.blocks + totals.shape[1], totals[:, -1]
        counts = list(self._refreshes())
        if not counts:
            return
        blocks = np.array(counts)
        failures = totals[:, blocks - first - 1]
        slopes = self._slopes_of(failures, blocks)
        held = np.concatenate([self._slopes[:, :, None], slopes[:, :, :-1]], axis=2)
        more = np.diff(failures, axis=1, prepend=self.failures_at_refresh[:, None])
        passed = np.diff(blocks, prepend=self.blocks_at_refresh)
        terms = np.stack([more[..., :1] * held[0], more[..., 1:] * held[1], passed[:, None] * held[2]], axis=2)
        terms = terms.reshape(len(terms), 3 * len(counts), -1)
        self.closed = np.concatenate([self.closed[:, None], terms], axis=1).cumsum(axis=1)[:, -1]
        self.blocks_at_refresh, self.failures_at_refresh, self._slopes = counts[-1], failures[:, -1], slopes[:, :, -1]

    def _refreshes(self) -> Iterator[int]:
        """Block counts up to now at which estimates are due; the next one is kept."""
        while self.refresh_at <= self.blocks:
            yield self.refresh_at
            self.refresh_at += max(1, self.refresh_at // 8)

    def _log_e(self, failures: Ints, blocks: Ints | int) -> Floats:
        """Logs of the components [..., alternatives] at counts since the start, not before the last refresh."""
        lift = failures.ndim == 3
        origin, closed, slopes = self.failures_at_refresh, self.closed, self._slopes
        if lift:
            origin, closed, slopes = origin[:, None], closed[:, None], slopes[:, :, None]
        more = failures - origin
        passed = np.asarray(blocks - self.blocks_at_refresh)[..., None]
        value: Floats = closed + more[..., :1] * slopes[0] + more[..., 1:] * slopes[1] + passed * slopes[2]
        return value

    def _slopes_of(self, failures: Ints, blocks: Ints) -> Floats:
        """[3, runs, n, alternatives]: what a candidate failure, a baseline failure and a block add to log e-values.

        From failures [runs, n, 2] in the first `blocks` [n] blocks.
        """
        k_c, k_b = self.sizes
        n_c, n_b = (blocks * k_c)[:, None], (blocks * k_b)[:, None]
        f_c, f_b = failures[..., :1], failures[..., 1:]
        pooled: Floats = np.asarray((f_c + f_b + _PRIOR_FAILURES) / (n_c + n_b + _PRIOR_TOTAL), np.float64)
        worse, base = around(pooled, self.sizes)
        own_c = (f_c + pooled * _PRIOR_TOTAL) / (n_c + _PRIOR_TOTAL)
        own_b = (f_b + pooled * _PRIOR_TOTAL) / (n_b + _PRIOR_TOTAL)
        beyond = own_c - own_b >= self.margin
        own_c, own_b = np.where(beyond, pooled, own_c), np.where(beyond, pooled, own_b)
        c, b = np.concatenate([pooled, own_c], axis=-1), np.concatenate([pooled, own_b], axis=-1)
        nearest = nearest_worse(c, b, self.sizes, self.margin)
        harm = log_ratios(worse, base, pooled, pooled, self.sizes)
        return np.concatenate([harm, log_ratios(c, b, nearest + self.margin, nearest, self.sizes)], axis=-1)

    def to_json(self) -> dict[str, Any]:
        return {
            "sizes": list(self.sizes), "margin": self.margin, "blocks": self.blocks,
            "failures": self.failures.tolist(), "blocks_at_refresh": self.blocks_at_refresh,
            "failures_at_refresh": self.failures_at_refresh.tolist(), "refresh_at": self.refresh_at,
            "closed": self.closed.tolist(), "slopes": self._slopes.tolist(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RateTest:
        test = cls((data["sizes"][0], data["sizes"][1]), data["margin"])
        test.blocks, test.failures = data["blocks"], np.array(data["failures"], np.int64)
        test.blocks_at_refresh, test.refresh_at = data["blocks_at_refresh"], data["refresh_at"]
        test.failures_at_refresh = np.array(data["failures_at_refresh"], np.int64)
        test.closed, test._slopes = np.array(data["closed"]), np.array(data["slopes"])
        return test


def log_ratios(c: Floats, b: Floats, null_c: Floats, null_b: Floats, sizes: tuple[int, int]) -> Floats:
    """Log likelihood ratios as what one more failure in each arm, and a block without failures, contribute."""
    pass_c, pass_b = np.log1p(-c) - np.log1p(-null_c), np.log1p(-b) - np.log1p(-null_b)
    return np.stack([np.log(c / null_c) - pass_c, np.log(b / null_b) - pass_b, sizes[0] * pass_c + sizes[1] * pass_b])


def around(pooled: Floats, sizes: tuple[int, int]) -> tuple[Floats, Floats]:
    """Candidate and baseline rates for each log odds ratio, such that their mean over a block is the pooled rate.

    With `r` the odds ratio, the baseline rate solves `k_b (r-1) b² + (k_c r + k_b - k p (r-1)) b - k p = 0`.
    """
    k_c, k_b = sizes
    sum_p = (k_c + k_b) * pooled
    square, linear = k_b * (_ODDS_RATIOS - 1), k_c * _ODDS_RATIOS + k_b - sum_p * (_ODDS_RATIOS - 1)
    base = 2 * sum_p / (linear + np.sqrt(linear * linear + 4 * square * sum_p))
    worse: Floats = (sum_p - k_b * base) / k_c
    return worse, base


def nearest_worse(c: Floats, b: Floats, sizes: tuple[int, int], margin: float) -> Floats:
    """t that minimizes `k_c KL(c || t + margin) + k_b KL(b || t)`: Farrington and Manning's cubic in closed form."""
    k_c, k_b = sizes
    theta = k_b / k_c
    a = 1 + theta
    two = -(a + c + theta * b + margin * (theta + 2))
    one = margin * margin + margin * (2 * c + a) + c + theta * b
    zero = -c * margin * (1 + margin)
    v = (two / (3 * a)) ** 3 - two * one / (6 * a * a) + zero / (2 * a)
    u = np.copysign(np.sqrt(np.maximum((two / (3 * a)) ** 2 - one / (3 * a), 1e-300)), v)
    w = (math.pi + np.arccos(np.clip(v / u**3, -1.0, 1.0))) / 3
    t = np.clip(2 * u * np.cos(w) - two / (3 * a) - margin, _TINY, 1 - margin - _TINY)
    for _ in range(2):  # Newton: the closed form loses digits where rates are small
        up = t + margin
        slope = k_c * (up - c) / (up * (1 - up)) + k_b * (t - b) / (t * (1 - t))
        bend = k_c * (c / up**2 + (1 - c) / (1 - up) ** 2) + k_b * (b / t**2 + (1 - b) / (1 - t) ** 2)
        t = np.clip(t - slope / bend, t / 2, (t + 1 - margin) / 2)
    nearest: Floats = t
    return nearest


def mixed(logs: Floats, log_weights: Floats) -> Floats:
    """Log of the weighted mean of e-values along the last axis."""
    weighted = logs + log_weights
    top = weighted.max(axis=-1)
    value: Floats = top + np.log(np.exp(weighted - top[..., None]).sum(axis=-1))
    return value
