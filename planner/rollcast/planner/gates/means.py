"""Two bounded means: proof of harm and of no worse than a margin by betting, valid at any time.

Outcomes are scaled to [0, 1] so that higher is worse. A block's difference of means D lies in [-1, 1]. The capital of
a gambler who stakes lambda, chosen before the block, on `E D > 0` is the product of `1 + lambda D`: a test martingale
against harm-free (Waudby-Smith and Ramdas 2020, https://arxiv.org/abs/2010.09686). Against `E D >= margin` it is the
product of `1 + lambda (margin - D)`. Nothing is assumed but the bounds: means and spreads may drift. Stakes are a grid
of effect sizes over the standard deviation of earlier blocks; the e-process is their mixture.

Sums run strictly in order, so no bit depends on how outcomes were cut into batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from rollcast.planner.gates.outcomes import Floats
from rollcast.planner.gates.rates import mixed

EFFECTS = np.array([0.03, 0.06, 0.12, 0.25, 0.5])
WEIGHTS = np.array([0.15, 0.25, 0.25, 0.2, 0.15])
_LOG_WEIGHTS = np.log(WEIGHTS)
_KEPT = 4096
_MOST = 0.9  # of the stake at which one block could take everything


class MeanTest:
    """Both e-processes of one bounded mean. `margin` is in scaled units, one or [runs]; streams advance in step."""

    def __init__(self, margin: float | Floats, runs: int = 1) -> None:
        self.margin: Floats = np.minimum(np.broadcast_to(np.asarray(margin, np.float64), runs), 0.999)[:, None]
        self.blocks = 0
        self.sums: Floats = np.zeros((runs, 2))  # of D and of its square
        self.refresh_at = 1
        self.spread: Floats = np.full((runs, 1), 0.5)
        self.logs: Floats = np.zeros((runs, 2 * len(EFFECTS)))

    def advance(self, differences: Floats) -> None:
        """Take further blocks: their differences of means [runs, blocks], candidate less baseline."""
        for _ in self._segments(differences):
            pass

    def paths(self, differences: Floats) -> tuple[Floats, Floats]:
        """`advance`, and the logs of both e-processes after each of those blocks, [runs, blocks] each."""
        parts = [self._mixed(logs) for logs in self._segments(differences)]
        return np.concatenate([h for h, _ in parts], axis=1), np.concatenate([n for _, n in parts], axis=1)

    def log_harm(self, widened: float = 1.0) -> Floats:
        """Log of the e-process against `E D <= 0`, [runs], where so many outcomes count as one."""
        return self._mixed(self.logs / widened)[0]

    def log_no_worse(self, widened: float = 1.0) -> Floats:
        """Log of the e-process against `E D >= margin`, [runs], where so many outcomes count as one."""
        return self._mixed(self.logs / widened)[1]

    def _segments(self, differences: Floats) -> Iterator[Floats]:
        """Advances from refresh to refresh; yields the log e-values [runs, n, stakes] on the way there."""
        done, total = 0, differences.shape[1]
        while done < total:
            stop = min(total, done + self.refresh_at - self.blocks)
            part = differences[:, done:stop]
            logs = np.concatenate([self.logs[:, None, :], self._bet(part)], axis=1).cumsum(axis=1)
            sums = np.concatenate([self.sums[:, None, :], np.stack([part, part * part], axis=2)], axis=1).cumsum(axis=1)
            self.logs, self.sums = logs[:, -1], sums[:, -1]
            self.blocks += stop - done
            if self.blocks == self.refresh_at:
                self.refresh_at = self.blocks + max(1, self.blocks // 8)
                mean = self.sums[:, :1] / (self.blocks + 1)
                variance = (self.sums[:, 1:] + 0.25) / (self.blocks + 1) - mean * mean
                self.spread = np.sqrt(np.maximum(variance, 1e-6))
            yield logs[:, 1:]
            done = stop

    def _bet(self, differences: Floats) -> Floats:
        """Logs of what each stake makes of each block, [runs, blocks, stakes]."""
        harm, no_worse = stakes(self.spread, self.margin)
        d = differences[..., None]
        made: Floats = np.log1p(
            np.concatenate([d * harm[:, None], (self.margin[:, None] - d) * no_worse[:, None]], axis=2)
        )
        return made

    @staticmethod
    def _mixed(logs: Floats) -> tuple[Floats, Floats]:
        half = len(EFFECTS)
        return mixed(logs[..., :half], _LOG_WEIGHTS), mixed(logs[..., half:], _LOG_WEIGHTS)

    def to_json(self) -> dict[str, Any]:
        return {
            "margin": self.margin[:, 0].tolist(), "blocks": self.blocks, "sums": self.sums.tolist(),
            "refresh_at": self.refresh_at, "spread": self.spread.tolist(), "logs": self.logs.tolist(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> MeanTest:
        test = cls(np.array(data["margin"]))
        test.blocks, test.sums, test.refresh_at = data["blocks"], np.array(data["sums"]), data["refresh_at"]
        test.spread, test.logs = np.array(data["spread"]), np.array(data["logs"])
        return test


def stakes(spread: Floats, margin: Floats) -> tuple[Floats, Floats]:
    """Stakes on harm and on no worse, [runs, effects]. None can lose everything in one block."""
    wished = EFFECTS / spread
    return np.minimum(wished, _MOST), np.minimum(wished, _MOST / (1 - margin))


class BoundedMean:
    """A confidence sequence for one arm's mean in [0, 1]: predictable plug-in empirical Bernstein.

    Theorem 2 of Waudby-Smith and Ramdas 2020. Nothing is decided by it, so outcomes are only kept until an interval is
    requested, or there are four thousand of them. Memory is constant.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.n = 0
        self.sum = 0.0
        self._waiting: tuple[Floats, ...] = ()
        self._done = _Sums()

    def observe(self, values: Floats) -> None:
        if not len(values):
            return
        self.n += len(values)
        self.sum = _run(self.sum, values)
        self._waiting = (*self._waiting, values)
        if self.n - self._done.n >= _KEPT:
            self._absorb()

    def _absorb(self) -> None:
        if self._waiting:
            self._done, self._waiting = self._done.after(np.concatenate(self._waiting), self.alpha), ()

    @property
    def mean(self) -> float:
        return self.sum / self.n if self.n else math.nan

    @property
    def variance(self) -> float:
        """Of one outcome."""
        self._absorb()
        return (0.25 + self._done.squares) / (self._done.n + 1)

    def interval(self) -> tuple[float, float]:
        """Lower and upper bound, valid at all times together with probability 1 - alpha."""
        self._absorb()
        return self._done.interval(self.alpha)

    def to_json(self) -> dict[str, Any]:
        self._absorb()
        return {"alpha": self.alpha, "n": self.n, "sum": self.sum, "done": list(astuple(self._done))}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> BoundedMean:
        arm = cls(data["alpha"])
        arm.n, arm.sum, arm._done = data["n"], data["sum"], _Sums(*data["done"])
        return arm


@dataclass(frozen=True, slots=True)
class _Sums:
    """Running sums behind the interval: outcomes, squared deviations from the running mean, and weighted by stakes."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    stake_x: float = 0.0
    stake: float = 0.0
    v_psi: float = 0.0

    def after(self, values: Floats, alpha: float) -> _Sums:
        """With further outcomes."""
        count = np.arange(self.n, self.n + len(values) + 1)
        totals = np.concatenate([[self.total], values]).cumsum()
        means = (0.5 + totals) / (count + 1)
        squares = np.concatenate([[self.squares], (values - means[1:]) ** 2]).cumsum()
        variances = (0.25 + squares) / (count + 1)
        stake = np.sqrt(2 * math.log(2 / alpha) / (variances[:-1] * count[1:] * np.log1p(count[1:])))
        stake = np.minimum(stake, 0.5)
        psi = (values - means[:-1]) ** 2 * (-np.log1p(-stake) - stake)
        return _Sums(
            int(count[-1]), float(totals[-1]), float(squares[-1]),
            _run(self.stake_x, stake * values), _run(self.stake, stake), _run(self.v_psi, psi),
        )  # fmt: skip

    def interval(self, alpha: float) -> tuple[float, float]:
        """The confidence sequence at this moment."""
        if not self.n:
            return 0.0, 1.0
        centre, width = self.stake_x / self.stake, (math.log(2 / alpha) + self.v_psi) / self.stake
        return max(0.0, centre - width), min(1.0, centre + width)


def _run(start: float, terms: Floats) -> float:
    """Sum in order, from where an earlier batch ended."""
    return float(np.concatenate([[start], terms]).cumsum()[-1])
