"""Two bounded means: proof of harm and of no worse than a margin by betting, valid at any time.

Outcomes are scaled to [0, 1] so that higher is worse. A block's difference of means D lies in [-1, 1]. The capital of
a gambler who stakes lambda, chosen before the block, on `E D > 0` is the product of `1 + lambda D`: a test martingale
against harm-free (Waudby-Smith and Ramdas 2020, https://arxiv.org/abs/2010.09686). Against `E D >= margin` it is the
product of `1 + lambda (margin - D)`. Stakes are a grid of effect sizes over the standard deviation so far; the
e-process is their mixture.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rollcast.planner.gates.blocks import Pairing
from rollcast.planner.gates.outcomes import Floats
from rollcast.planner.gates.rates import _log_mean

EFFECTS = np.array([0.03, 0.06, 0.12, 0.25, 0.5])
WEIGHTS = np.array([0.15, 0.25, 0.25, 0.2, 0.15])
_MOST = 0.9  # of the stake at which one block could take everything


class MeanTest:
    """Both e-processes of one bounded mean. `margin` is in scaled units."""

    def __init__(self, split: float, margin: float) -> None:
        self.margin = min(margin, 0.999)
        self.pairing = Pairing(split)
        self.blocks = 0
        self.sums = [0.0, 0.0]  # of D and of its square
        self.refresh_at = 1
        self.spread = 0.5
        self.logs = np.zeros((2, len(EFFECTS)))

    def observe(self, candidate: Floats, baseline: Floats) -> None:
        """Scaled outcomes of both arms in order, 0 best and 1 worst."""
        c, b = self.pairing.add(candidate, baseline)
        differences = c.mean(axis=1) - b.mean(axis=1) if len(c) else np.empty(0)
        done = 0
        while done < len(differences):
            upto = min(len(differences), done + self.refresh_at - self.blocks)
            part = differences[done:upto]
            self._bet(part)
            self.blocks += len(part)
            self.sums = [self.sums[0] + float(part.sum()), self.sums[1] + float((part * part).sum())]
            if self.blocks == self.refresh_at:
                self.refresh_at = self.blocks + max(1, self.blocks // 16)
                mean = self.sums[0] / (self.blocks + 1)
                self.spread = math.sqrt(max((self.sums[1] + 0.25) / (self.blocks + 1) - mean * mean, 1e-6))
            done = upto

    def _bet(self, differences: Floats) -> None:
        stakes = EFFECTS / self.spread
        harm = np.minimum(stakes, _MOST)
        no_worse = np.minimum(stakes, _MOST / (1 - self.margin))
        self.logs[0] += np.log1p(np.outer(differences, harm)).sum(axis=0)
        self.logs[1] += np.log1p(np.outer(self.margin - differences, no_worse)).sum(axis=0)

    def log_harm(self) -> float:
        return _log_mean(self.logs[0], WEIGHTS)

    def log_no_worse(self) -> float:
        return _log_mean(self.logs[1], WEIGHTS)

    def to_json(self) -> dict[str, Any]:
        return {
            "margin": self.margin, "pairing": self.pairing.to_json(), "blocks": self.blocks, "sums": self.sums,
            "refresh_at": self.refresh_at, "spread": self.spread, "logs": self.logs.tolist(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MeanTest:
        test = cls(0.5, data["margin"])
        test.pairing = Pairing.from_json(data["pairing"])
        test.blocks, test.sums = data["blocks"], list(data["sums"])
        test.refresh_at, test.spread = data["refresh_at"], data["spread"]
        test.logs = np.array(data["logs"])
        return test


class BoundedMean:
    """A confidence sequence for one arm's mean in [0, 1]: predictable plug-in empirical Bernstein.

    Theorem 2 of Waudby-Smith and Ramdas 2020. Constant memory.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.n = 0
        self.sum = 0.0
        self.squares = 0.0  # of deviations from the running mean
        self.weighted = [0.0, 0.0, 0.0]  # sum of lambda x, of lambda, of v psi(lambda)

    def observe(self, values: Floats) -> None:
        if not len(values):
            return
        count = self.n + np.arange(1, len(values) + 1)
        totals = self.sum + np.cumsum(values)
        means = (0.5 + totals) / (count + 1)
        before = np.concatenate([[(0.5 + self.sum) / (self.n + 1)], means[:-1]])
        squares = self.squares + np.cumsum((values - means) ** 2)
        variances = (0.25 + squares) / (count + 1)
        earlier = np.concatenate([[(0.25 + self.squares) / (self.n + 1)], variances[:-1]])
        stake = np.sqrt(2 * math.log(2 / self.alpha) / (earlier * count * np.log(1 + count)))
        stake = np.minimum(stake, 0.5)
        v = 4 * (values - before) ** 2
        psi = (-np.log1p(-stake) - stake) / 4
        for i, part in enumerate((stake * values, stake, v * psi)):
            self.weighted[i] += float(part.sum())
        self.n, self.sum, self.squares = int(count[-1]), float(totals[-1]), float(squares[-1])

    @property
    def mean(self) -> float:
        return self.sum / self.n if self.n else math.nan

    def interval(self) -> tuple[float, float]:
        """Lower and upper bound, valid at all times together with probability 1 - alpha."""
        if not self.n:
            return 0.0, 1.0
        centre = self.weighted[0] / self.weighted[1]
        width = (math.log(2 / self.alpha) + self.weighted[2]) / self.weighted[1]
        return max(0.0, centre - width), min(1.0, centre + width)

    def to_json(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "n": self.n, "sum": self.sum, "squares": self.squares, "weighted": self.weighted}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BoundedMean:
        arm = cls(data["alpha"])
        arm.n, arm.sum, arm.squares, arm.weighted = data["n"], data["sum"], data["squares"], list(data["weighted"])
        return arm
