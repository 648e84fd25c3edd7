"""Gates of bounded means, and of cost per request cut to a bound."""

from __future__ import annotations

import math
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from rollcast.planner.gates.blocks import Pairing
from rollcast.planner.gates.dispersion import SCALE
from rollcast.planner.gates.gate import Comparison, Gate
from rollcast.planner.gates.means import BoundedMean, MeanTest
from rollcast.planner.gates.outcomes import Bools, Floats
from rollcast.planner.gates.spec import GateSpec

WARM_UP = 20  # outcomes that only scale a cost gate
_MEANS = 10  # a cost is cut at this many times their mean


class MeanGate(Gate):
    """Compares means of outcomes cut to bounds.

    Without declared bounds a cost is cut at ten times the mean of the first twenty outcomes of both arms, which are
    then not judged: the mean of what remains is robust against a heavy tail, and the bound does not look ahead. What is
    compared is the mean of the cut cost: a release that only makes its dearest requests dearer still is not seen.
    """

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        super().__init__(spec, split=split, alpha=alpha, advance_alpha=advance_alpha)
        self.pairing = Pairing(split)
        self.bounds = spec.bounds
        self.waiting: list[float] = []
        self.test = None if self.bounds is None else self._open(self.bounds)
        self.arms = (BoundedMean(alpha / 2), BoundedMean(alpha / 2))

    def _open(self, bounds: tuple[float, float]) -> MeanTest:
        return MeanTest(self.spec.margin / (bounds[1] - bounds[0]))

    def take(self, candidate: Bools, values: Floats) -> Floats:
        if self.bounds is None:
            room = WARM_UP - len(self.waiting)
            self.waiting.extend(values[:room].tolist())
            candidate, values = candidate[room:], values[room:]
            if len(self.waiting) < WARM_UP:
                return values[:0]
            self.bounds, self.waiting = (0.0, float(cost_bound(np.array(self.waiting), self.spec.margin))), []
            self.test = self._open(self.bounds)
        assert self.test is not None
        scaled = self._scaled(values, self.bounds)
        c, b = self.pairing.add(candidate, scaled)
        self.test.advance((c.mean(axis=1) - b.mean(axis=1))[None])
        self.arms[0].observe(scaled[candidate])
        self.arms[1].observe(scaled[~candidate])
        return np.rint(scaled * SCALE)

    def _scaled(self, values: Floats, bounds: tuple[float, float]) -> Floats:
        low, high = bounds
        scaled: Floats = np.clip((values - low) / (high - low), 0.0, 1.0)
        return scaled if self.spec.better == "lower" else 1 - scaled

    def compare(self, widened: float = 1.0) -> Comparison:
        if self.bounds is None or self.test is None:
            return Comparison(math.nan, math.nan, 0.0, 0.0, _unbounded)
        low, high = self.bounds
        c, b = (low + arm.mean * (high - low) for arm in self.arms)
        higher = self.spec.better == "higher"
        arms = tuple(copy(arm) for arm in self.arms)  # as they stand at this look
        return Comparison(
            candidate=low + high - c if higher else c,
            baseline=low + high - b if higher else b,
            log_harm=float(self.test.log_harm(widened)[0]),
            log_no_worse=float(self.test.log_no_worse(widened)[0]),
            find_interval=partial(_interval, arms, high - low, higher),
        )

    def spread(self) -> Floats:
        return np.array([arm.variance for arm in self.arms])

    def state(self) -> dict[str, Any]:
        return {
            "bounds": self.bounds, "waiting": list(self.waiting), "pairing": self.pairing.to_json(),
            "test": self.test.to_json() if self.test else None, "arms": [arm.to_json() for arm in self.arms],
        }  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        self.bounds = (state["bounds"][0], state["bounds"][1]) if state["bounds"] else None
        self.waiting, self.pairing = list(state["waiting"]), Pairing.from_json(state["pairing"])
        self.test = MeanTest.from_json(state["test"]) if state["test"] else None
        self.arms = (BoundedMean.from_json(state["arms"][0]), BoundedMean.from_json(state["arms"][1]))


def cost_bound(first: Floats, margin: float) -> Floats:
    """Where a cost is cut, from its first outcomes [..., outcomes]."""
    bound: Floats = np.maximum(_MEANS * first.mean(axis=-1), 2 * margin)
    return bound


def _interval(arms: tuple[BoundedMean, ...], width: float, higher: bool) -> tuple[float, float]:
    """Difference of two means: both arms' confidence sequences and a union bound."""
    (low_c, high_c), (low_b, high_b) = (arm.interval() for arm in arms)
    low, high = (low_c - high_b) * width, (high_c - low_b) * width
    return (-high, -low) if higher else (low, high)


def _unbounded() -> tuple[float, float]:
    return -math.inf, math.inf
