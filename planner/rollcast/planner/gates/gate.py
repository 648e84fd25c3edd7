"""One gate: reads its outcomes, keeps its tests, and says what they prove."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rollcast.planner.gates.binomial import rate_interval
from rollcast.planner.gates.means import BoundedMean, MeanTest
from rollcast.planner.gates.outcomes import Bools, Evidence, Floats, Outcomes, Verdict
from rollcast.planner.gates.quantiles import QuantileArm
from rollcast.planner.gates.rates import RateTest
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.planner.gates.units import FirstOfUser
from rollcast.planner.gates.wording import amount, sentence

_WARM_UP = 20  # outcomes that only scale a cost gate


class Gate:
    """Shared by all kinds: which outcomes count, and how a look becomes evidence.

    `alpha` bounds the false proof of harm, `advance_alpha` the false proof of no worse than the margin.
    """

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        self.spec, self.split = spec, split
        self.alpha, self.advance_alpha = alpha, advance_alpha
        self.users = FirstOfUser()
        self.n = [0, 0]  # candidate, baseline
        self.proved_no_worse = False

    def observe(self, outcomes: Outcomes) -> None:
        values = outcomes.values.get(self.spec.reads)
        if values is None:
            return
        known = ~np.isnan(values)
        if self.spec.unit == "user":
            rows = np.flatnonzero(known)
            known[rows] = self.users.mask(outcomes.unit[rows])
        candidate: Bools = outcomes.candidate[known]
        found = values[known]
        self.n = [self.n[0] + int(candidate.sum()), self.n[1] + int((~candidate).sum())]
        self._take(found[candidate], found[~candidate])

    def look(self, baked_s: float) -> Evidence:
        """What is proved now. Proof of no worse, once reached, stays."""
        candidate, baseline, interval, log_e = self._compare()
        harm, no_worse = self._proofs(interval, log_e)
        self.proved_no_worse = self.proved_no_worse or no_worse
        enough = min(self.n) >= self.spec.min_samples and baked_s >= self.spec.label_delay_s
        if harm:
            verdict = Verdict.ROLL_BACK
        elif self.proved_no_worse and enough:
            verdict = Verdict.ADVANCE
        else:
            verdict = Verdict.CONTINUE
        known = min(self.n) > 0
        evidence = Evidence(
            metric=self.spec.metric,
            verdict=verdict,
            candidate_estimate=candidate if self.n[0] else None,
            baseline_estimate=baseline if self.n[1] else None,
            difference=candidate - baseline if known else None,
            interval=interval if known else None,
            e_value_harm=None if log_e is None else math.exp(min(log_e[0], 700.0)),
            n_candidate=self.n[0],
            n_baseline=self.n[1],
            alpha=self.alpha,
            margin=self.spec.margin,
            sentence="",
        )
        return sentence(self.spec, evidence)

    def _proofs(self, interval: tuple[float, float], log_e: tuple[float, float] | None) -> tuple[bool, bool]:
        if log_e is None:
            raise NotImplementedError
        return log_e[0] >= -math.log(self.alpha), log_e[1] >= -math.log(self.advance_alpha)

    def _take(self, candidate: Floats, baseline: Floats) -> None:
        raise NotImplementedError

    def _compare(self) -> tuple[float, float, tuple[float, float], tuple[float, float] | None]:
        """Candidate and baseline estimate, interval of their difference, logs of the two e-processes."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        return {
            "spec": self.spec.model_dump(mode="json"), "split": self.split, "alpha": self.alpha,
            "advance_alpha": self.advance_alpha, "users": self.users.to_json(), "n": self.n,
            "proved_no_worse": self.proved_no_worse, "state": self._state(),
        }  # fmt: skip

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    def _restore(self, state: dict[str, Any]) -> None:
        raise NotImplementedError


class RateGate(Gate):
    """Rates, and SLO attainment as the rate of missed objectives."""

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        super().__init__(spec, split=split, alpha=alpha, advance_alpha=advance_alpha)
        self.test = RateTest(split, spec.margin)
        self.bad = [0, 0]

    def _failures(self, values: Floats) -> Floats:
        if self.spec.kind is MetricKind.SLO:
            assert self.spec.slo_s is not None
            return (values > self.spec.slo_s).astype(np.float64)
        failed = values > 0.5
        return (failed if self.spec.better == "lower" else ~failed).astype(np.float64)

    def _take(self, candidate: Floats, baseline: Floats) -> None:
        c, b = self._failures(candidate), self._failures(baseline)
        self.bad = [self.bad[0] + int(c.sum()), self.bad[1] + int(b.sum())]
        self.test.observe(c, b)

    def _compare(self) -> tuple[float, float, tuple[float, float], tuple[float, float] | None]:
        c, b = (bad / n if n else math.nan for bad, n in zip(self.bad, self.n, strict=True))
        low_c, high_c = rate_interval(self.bad[0], self.n[0], self.alpha / 2)
        low_b, high_b = rate_interval(self.bad[1], self.n[1], self.alpha / 2)
        interval = (low_c - high_b, high_c - low_b)
        log_e = (self.test.log_harm(), self.test.log_no_worse())
        if self.spec.better == "higher":
            return 1 - c, 1 - b, (-interval[1], -interval[0]), log_e
        return c, b, interval, log_e

    def _state(self) -> dict[str, Any]:
        return {"test": self.test.to_json(), "bad": self.bad}

    def _restore(self, state: dict[str, Any]) -> None:
        self.test, self.bad = RateTest.from_json(state["test"]), list(state["bad"])


class MeanGate(Gate):
    """Bounded means, and cost per request cut to a bound.

    Without declared bounds a cost is cut at ten times the mean of the first twenty outcomes, which are then not
    judged: the mean of what remains is robust against a heavy tail, and the bound does not look ahead.
    """

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        super().__init__(spec, split=split, alpha=alpha, advance_alpha=advance_alpha)
        self.bounds = spec.bounds
        self.waiting: list[float] = []
        self.test: MeanTest | None = None
        self.arms = (BoundedMean(alpha / 2), BoundedMean(alpha / 2))
        self._open()

    def _open(self) -> None:
        if self.bounds is not None:
            self.test = MeanTest(self.split, self.spec.margin / (self.bounds[1] - self.bounds[0]))

    def _take(self, candidate: Floats, baseline: Floats) -> None:
        if self.bounds is None:
            self.waiting.extend([*candidate.tolist(), *baseline.tolist()])
            if len(self.waiting) >= _WARM_UP:
                self.bounds = (0.0, max(10 * float(np.mean(self.waiting)), self.spec.margin * 2, 1e-12))
                self.waiting = []
                self._open()
            return
        assert self.test is not None
        c, b = self._scaled(candidate), self._scaled(baseline)
        self.test.observe(c, b)
        self.arms[0].observe(c)
        self.arms[1].observe(b)

    def _scaled(self, values: Floats) -> Floats:
        assert self.bounds is not None
        low, high = self.bounds
        scaled = np.clip((values - low) / (high - low), 0.0, 1.0)
        return scaled if self.spec.better == "lower" else 1 - scaled

    def _compare(self) -> tuple[float, float, tuple[float, float], tuple[float, float] | None]:
        if self.bounds is None or self.test is None:
            return math.nan, math.nan, (-math.inf, math.inf), (0.0, 0.0)
        low, high = self.bounds
        width = high - low
        (low_c, high_c), (low_b, high_b) = (arm.interval() for arm in self.arms)
        interval = ((low_c - high_b) * width, (high_c - low_b) * width)
        c, b = (low + arm.mean * width for arm in self.arms)
        log_e = (self.test.log_harm(), self.test.log_no_worse())
        if self.spec.better == "higher":
            return low + high - c, low + high - b, (-interval[1], -interval[0]), log_e
        return c, b, interval, log_e

    def _state(self) -> dict[str, Any]:
        return {
            "bounds": self.bounds, "waiting": self.waiting, "test": self.test.to_json() if self.test else None,
            "arms": [arm.to_json() for arm in self.arms],
        }  # fmt: skip

    def _restore(self, state: dict[str, Any]) -> None:
        self.bounds = tuple(state["bounds"]) if state["bounds"] else None
        self.waiting = list(state["waiting"])
        self.test = MeanTest.from_json(state["test"]) if state["test"] else None
        self.arms = (BoundedMean.from_json(state["arms"][0]), BoundedMean.from_json(state["arms"][1]))


class QuantileGate(Gate):
    """Latency quantiles: decided by the confidence sequence of their difference."""

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        super().__init__(spec, split=split, alpha=alpha, advance_alpha=advance_alpha)
        assert spec.quantile is not None
        self.arms = (QuantileArm(spec.quantile), QuantileArm(spec.quantile))

    def _take(self, candidate: Floats, baseline: Floats) -> None:
        self.arms[0].observe(candidate)
        self.arms[1].observe(baseline)

    def _difference(self, alpha: float) -> tuple[float, float]:
        (low_c, high_c), (low_b, high_b) = (arm.interval(alpha / 2) for arm in self.arms)
        return low_c - high_b, high_c - low_b

    def _compare(self) -> tuple[float, float, tuple[float, float], tuple[float, float] | None]:
        return self.arms[0].estimate(), self.arms[1].estimate(), self._difference(self.alpha), None

    def _proofs(self, interval: tuple[float, float], log_e: tuple[float, float] | None) -> tuple[bool, bool]:
        return interval[0] > 0, self._difference(self.advance_alpha)[1] <= self.spec.margin

    def _state(self) -> dict[str, Any]:
        return {"arms": [arm.to_json() for arm in self.arms]}

    def _restore(self, state: dict[str, Any]) -> None:
        self.arms = (QuantileArm.from_json(state["arms"][0]), QuantileArm.from_json(state["arms"][1]))


_KINDS: dict[MetricKind, type[Gate]] = {
    MetricKind.RATE: RateGate,
    MetricKind.SLO: RateGate,
    MetricKind.MEAN: MeanGate,
    MetricKind.COST: MeanGate,
    MetricKind.QUANTILE: QuantileGate,
}


def open_gate(spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> Gate:
    """A fresh gate of the kind that the metric asks for."""
    assert spec.kind is not None
    return _KINDS[spec.kind](spec, split=split, alpha=alpha, advance_alpha=advance_alpha)


def restore_gate(data: dict[str, Any]) -> Gate:
    """The gate that `to_json` described, bit for bit."""
    spec = GateSpec.model_validate(data["spec"])
    gate = open_gate(spec, split=data["split"], alpha=data["alpha"], advance_alpha=data["advance_alpha"])
    gate.users = FirstOfUser.from_json(data["users"])
    gate.n, gate.proved_no_worse = list(data["n"]), data["proved_no_worse"]
    gate._restore(data["state"])
    return gate


__all__ = ["Gate", "amount", "open_gate", "restore_gate"]
