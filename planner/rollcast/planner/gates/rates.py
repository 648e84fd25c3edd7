"""Two Bernoulli streams: proof of harm and proof of no worse than a margin, valid at any time.

Per block of k_c candidate and k_b baseline outcomes the e-variable is the likelihood ratio of an alternative (a, b) to
its reverse information projection on the null (Turner, Ly and Grünwald 2021, https://arxiv.org/abs/2106.02693; for
nulls about the difference, Turner and Grünwald 2022, https://arxiv.org/abs/2203.09785). Both nulls are convex:

- harm: H0 `p_c <= p_b`. Alternatives have log odds ratios from a fixed grid, around the pooled rate so far; their
  projection is the pooled rate itself. The e-process is the mixture over the grid.
- no worse: H0 `p_c >= p_b + margin`. Alternatives are no difference at the pooled rate, and the two rates so far; the
  projection is the nearest point (t + margin, t), found by bisection of the derivative.

Estimates are refreshed at fixed block counts from earlier blocks only, so that the products stay martingales. Between
two refreshes only counts are kept: the value doesn't depend on how outcomes were cut into batches.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rollcast.planner.gates.blocks import Pairing
from rollcast.planner.gates.outcomes import Floats

LOG_ODDS_RATIOS = np.array([0.2, 0.35, 0.6, 1.0, 1.8, 3.0])
WEIGHTS = np.array([0.2, 0.25, 0.25, 0.15, 0.1, 0.05])
_PRIOR_FAILURES, _PRIOR_TOTAL = 0.5, 5.0
_TINY = 1e-9


class RateTest:
    """Both e-processes of one rate. Memory is constant."""

    def __init__(self, split: float, margin: float) -> None:
        self.margin = margin
        self.pairing = Pairing(split)
        self.blocks = 0
        self.failures = [0, 0]  # candidate, baseline, in whole blocks
        self.at_refresh = [0, 0, 0]  # blocks, candidate failures, baseline failures
        self.refresh_at = 1
        self.closed = np.zeros(len(LOG_ODDS_RATIOS) + 2)  # log e-values up to the last refresh
        self._terms = self._refresh()

    def observe(self, candidate: Floats, baseline: Floats) -> None:
        """Outcomes of both arms, 1 for a failure, in order."""
        c, b = self.pairing.add(candidate, baseline)
        failed_c, failed_b = np.cumsum(c.sum(axis=1)), np.cumsum(b.sum(axis=1))
        start, done, total = [self.blocks, *self.failures], 0, len(c)
        while done < total:
            done = min(total, self.refresh_at - start[0])
            self.blocks = start[0] + done
            self.failures = [start[1] + int(failed_c[done - 1]), start[2] + int(failed_b[done - 1])]
            if self.blocks == self.refresh_at:
                self.closed = self._log_e()
                self.at_refresh = [self.blocks, *self.failures]
                self.refresh_at = self.blocks + max(1, self.blocks // 16)
                self._terms = self._refresh()

    def log_harm(self) -> float:
        """Log of the e-process against `p_c <= p_b`."""
        return _log_mean(self._log_e()[:-2], WEIGHTS)

    def log_no_worse(self) -> float:
        """Log of the e-process against `p_c >= p_b + margin`."""
        return _log_mean(self._log_e()[-2:], np.array([0.7, 0.3]))

    def _log_e(self) -> Floats:
        blocks = self.blocks - self.at_refresh[0]
        if blocks == 0:
            return self.closed
        fail_c, fail_b = self.failures[0] - self.at_refresh[1], self.failures[1] - self.at_refresh[2]
        pass_c = blocks * self.pairing.candidate_size - fail_c
        pass_b = blocks * self.pairing.baseline_size - fail_b
        value: Floats = self.closed + np.array([fail_c, pass_c, fail_b, pass_b], float) @ self._terms
        return value

    def _refresh(self) -> Floats:
        """[4, alternatives] log likelihood ratios of a failure and a pass in each arm."""
        k_c, k_b = self.pairing.candidate_size, self.pairing.baseline_size
        n_c, n_b = self.blocks * k_c, self.blocks * k_b
        f_c, f_b = self.failures
        pooled = (f_c + f_b + _PRIOR_FAILURES) / (n_c + n_b + _PRIOR_TOTAL)
        base = _around(pooled, k_c, k_b)
        harm = _log_ratios(_expit(_logit(base) + LOG_ODDS_RATIOS), base, pooled, pooled)
        own_c = (f_c + pooled * _PRIOR_TOTAL) / (n_c + _PRIOR_TOTAL)
        own_b = (f_b + pooled * _PRIOR_TOTAL) / (n_b + _PRIOR_TOTAL)
        if own_c - own_b >= self.margin:
            own_c = own_b = pooled
        c, b = np.array([pooled, own_c]), np.array([pooled, own_b])
        null = _nearest(c, b, k_c, k_b, self.margin)
        return np.concatenate([harm, _log_ratios(c, b, null + self.margin, null)], axis=1)

    def to_json(self) -> dict[str, Any]:
        return {
            "margin": self.margin, "pairing": self.pairing.to_json(), "blocks": self.blocks,
            "failures": self.failures, "at_refresh": self.at_refresh, "refresh_at": self.refresh_at,
            "closed": self.closed.tolist(), "terms": self._terms.tolist(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RateTest:
        test = cls(0.5, data["margin"])
        test.pairing = Pairing.from_json(data["pairing"])
        test.blocks, test.failures = data["blocks"], list(data["failures"])
        test.at_refresh, test.refresh_at = list(data["at_refresh"]), data["refresh_at"]
        test.closed, test._terms = np.array(data["closed"]), np.array(data["terms"])
        return test


def _log_ratios(c: Floats, b: Floats, null_c: Floats | float, null_b: Floats | float) -> Floats:
    null_c, null_b = np.broadcast_to(null_c, c.shape), np.broadcast_to(null_b, b.shape)
    return np.stack(
        [np.log(c / null_c), np.log((1 - c) / (1 - null_c)), np.log(b / null_b), np.log((1 - b) / (1 - null_b))]
    )


def _around(pooled: float, k_c: int, k_b: int) -> Floats:
    """Baseline rates such that both arms' mean is the pooled rate, for each log odds ratio."""
    low = np.full(len(LOG_ODDS_RATIOS), _TINY)
    high = np.full(len(LOG_ODDS_RATIOS), pooled)
    for _ in range(50):
        middle = (low + high) / 2
        mean = (k_c * _expit(_logit(middle) + LOG_ODDS_RATIOS) + k_b * middle) / (k_c + k_b)
        above = mean > pooled
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    base: Floats = (low + high) / 2
    return base


def _nearest(c: Floats, b: Floats, k_c: int, k_b: int, margin: float) -> Floats:
    """t that minimizes k_c KL(c || t + margin) + k_b KL(b || t): the derivative rises through zero."""
    low, high = np.full(len(c), _TINY), np.full(len(c), 1 - margin - _TINY)
    for _ in range(50):
        t = (low + high) / 2
        u = t + margin
        slope = k_c * ((1 - c) / (1 - u) - c / u) + k_b * ((1 - b) / (1 - t) - b / t)
        low, high = np.where(slope < 0, t, low), np.where(slope < 0, high, t)
    nearest: Floats = (low + high) / 2
    return nearest


def _logit(p: Floats) -> Floats:
    odds: Floats = np.log(p / (1 - p))
    return odds


def _expit(x: Floats) -> Floats:
    p: Floats = 1 / (1 + np.exp(-x))
    return p


def _log_mean(logs: Floats, weights: Floats) -> float:
    top = float(np.max(logs))
    return top + math.log(float(np.sum(weights * np.exp(logs - top))))
