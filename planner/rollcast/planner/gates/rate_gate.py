"""Gates of rates, and of SLO attainment as the rate of missed objectives."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from rollcast.planner.gates.binomial import rate_interval
from rollcast.planner.gates.blocks import Pairing
from rollcast.planner.gates.gate import Comparison, Gate
from rollcast.planner.gates.outcomes import Bools, Floats
from rollcast.planner.gates.rates import RateTest
from rollcast.planner.gates.spec import GateSpec, MetricKind


class RateGate(Gate):
    """Counts failures; where higher is better, what is counted is the lack of success."""

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        super().__init__(spec, split=split, alpha=alpha, advance_alpha=advance_alpha)
        self.pairing = Pairing(split)
        self.test = RateTest(self.pairing.sizes, spec.margin)
        self.bad = [0, 0]

    def take(self, candidate: Bools, values: Floats) -> Bools:
        failed = self._failed(values)
        bad = int(np.count_nonzero(failed & candidate))
        self.bad = [self.bad[0] + bad, self.bad[1] + int(np.count_nonzero(failed)) - bad]
        c, b = self.pairing.add(candidate, failed.astype(np.float64))
        self.test.advance(c.sum(axis=1, dtype=np.int64)[None], b.sum(axis=1, dtype=np.int64)[None])
        return failed

    def _failed(self, values: Floats) -> Bools:
        if self.spec.kind is MetricKind.SLO:
            assert self.spec.slo_s is not None
            missed: Bools = values > self.spec.slo_s
            return missed
        failed: Bools = values > 0.5
        return failed if self.spec.better == "lower" else ~failed

    def compare(self, widened: float = 1.0) -> Comparison:
        c, b = (bad / n if n else math.nan for bad, n in zip(self.bad, self.n, strict=True))
        higher = self.spec.better == "higher"
        return Comparison(
            candidate=1 - c if higher else c,
            baseline=1 - b if higher else b,
            log_harm=float(self.test.log_harm(widened)[0]),
            log_no_worse=float(self.test.log_no_worse(widened)[0]),
            find_interval=partial(_interval, (self.bad[0], self.bad[1]), (self.n[0], self.n[1]), self.alpha, higher),
        )

    def state(self) -> dict[str, Any]:
        return {"test": self.test.to_json(), "pairing": self.pairing.to_json(), "bad": list(self.bad)}

    def restore(self, state: dict[str, Any]) -> None:
        self.test, self.pairing = RateTest.from_json(state["test"]), Pairing.from_json(state["pairing"])
        self.bad = list(state["bad"])


def _interval(bad: tuple[int, int], n: tuple[int, int], alpha: float, higher: bool) -> tuple[float, float]:
    """Difference of two rates: both arms' confidence sequences and a union bound."""
    low_c, high_c = rate_interval(bad[0], n[0], alpha / 2)
    low_b, high_b = rate_interval(bad[1], n[1], alpha / 2)
    low, high = low_c - high_b, high_c - low_b
    return (-high, -low) if higher else (low, high)
