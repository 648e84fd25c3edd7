"""Gates of latency quantiles."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from rollcast.planner.gates.gate import Comparison, Gate
from rollcast.planner.gates.outcomes import Bools, Floats
from rollcast.planner.gates.quantiles import QuantileTest, difference_interval
from rollcast.planner.gates.spec import GateSpec

_FIRST = 64


class QuantileGate(Gate):
    """Compares one quantile of the two arms, in seconds.

    Whether outcomes hang together is seen in those beyond the quantile of the stage's first ones.
    """

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        super().__init__(spec, split=split, alpha=alpha, advance_alpha=advance_alpha)
        assert spec.quantile is not None
        self.test = QuantileTest(spec.quantile, split, spec.margin)
        self.waiting: list[float] = []  # the first outcomes, until they say what is slow
        self.slow_s: float | None = None

    def take(self, candidate: Bools, values: Floats) -> Bools:
        self.test.observe(candidate, values)
        if self.slow_s is None:
            room = _FIRST - len(self.waiting)
            self.waiting.extend(values[:room].tolist())
            values = values[room:]
            if len(self.waiting) == _FIRST:
                self.slow_s = sorted(self.waiting)[int(self.test.quantile * _FIRST)]
                self.waiting = []
        slow: Bools = values > (math.inf if self.slow_s is None else self.slow_s)
        return slow

    def compare(self, widened: float = 1.0) -> Comparison:
        harm: float | None = self.test.log_harm(self.harm_limit, widened)
        if harm is not None and harm < self.harm_limit:
            harm = None
        ask = harm is not None or not self.proved_no_worse
        candidate, baseline = self.test.estimates()
        return Comparison(
            candidate=candidate,
            baseline=baseline,
            log_harm=harm,
            log_no_worse=self.test.log_no_worse(self.advance_limit, widened) if ask else None,
            find_interval=partial(difference_interval, self.test.counts, self.test.quantile, self.alpha),
        )

    def state(self) -> dict[str, Any]:
        return {**self.test.to_json(), "waiting": list(self.waiting), "slow_s": self.slow_s}

    def restore(self, state: dict[str, Any]) -> None:
        self.test.restore(state)
        self.waiting, self.slow_s = list(state.get("waiting", [])), state.get("slow_s")
