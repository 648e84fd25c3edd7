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
        harm: float | None = self.test.log_harm(self.harm_limit)
        if harm is not None and harm < self.harm_limit:
            harm = None
        ask = harm is not None or not self.proved_no_worse
        candidate, baseline = self.test.estimates()
        return Comparison(
            candidate=candidate,
            baseline=baseline,
            log_harm=harm,
            log_no_worse=self.test.log_no_worse(self.advance_limit) if ask else None,
            find_interval=partial(difference_interval, self.test.counts, self.test.quantile, self.alpha),
        )

    def state(self) -> dict[str, Any]:
        return self.test.to_json()

    def restore(self, state: dict[str, Any]) -> None:
        self.test.restore(state)
