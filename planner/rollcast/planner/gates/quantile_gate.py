"""Gates of latency quantiles."""

from __future__ import annotations

from functools import partial
from typing import Any

from rollcast.planner.gates.gate import Comparison, Gate
from rollcast.planner.gates.outcomes import Bools, Floats
from rollcast.planner.gates.quantiles import QuantileTest, difference_interval
from rollcast.planner.gates.spec import GateSpec


class QuantileGate(Gate):
    """Compares one quantile of the two arms, in seconds."""

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        super().__init__(spec, split=split, alpha=alpha, advance_alpha=advance_alpha)
        assert spec.quantile is not None
        self.test = QuantileTest(spec.quantile, split, spec.margin)

    def take(self, candidate: Bools, values: Floats) -> None:
        self.test.observe(candidate, values)

    def compare(self) -> Comparison:
        harm = self.test.log_harm(self.harm_limit)
        candidate, baseline = self.test.estimates()
        return Comparison(
            candidate=candidate,
            baseline=baseline,
            log_harm=harm if harm >= self.harm_limit else None,
            log_no_worse=None if self.proved_no_worse else self.test.log_no_worse(self.advance_limit),
            find_interval=partial(difference_interval, self.test.counts, self.test.quantile, self.alpha),
        )

    def state(self) -> dict[str, Any]:
        return self.test.to_json()

    def restore(self, state: dict[str, Any]) -> None:
        self.test.restore(state)
