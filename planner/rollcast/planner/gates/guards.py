"""Checks of the evidence itself: is the split as asked, does telemetry flow, do labels come, does one user dominate.

The sample-ratio test is any-time valid on its own: under the asked split the arm of each new user is Bernoulli, and
the beta-binomial mixture against it is a martingale (Lindon and Malek 2020, https://arxiv.org/abs/2011.03567, for two
arms).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rollcast.planner.gates.binomial import log_mixture
from rollcast.planner.gates.outcomes import Guard, Outcomes
from rollcast.planner.gates.packing import pack, unpack
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.units import FirstOfUser

SPLIT_ALPHA = 0.001
_BUCKETS = 1024
_DOMINANT = 0.2
_ENOUGH = 200  # requests before one user can be called dominant


class Guards:
    """What the guards remember of a stage."""

    def __init__(self, split: float, started_s: float, min_sample: int, stale_s: float) -> None:
        self.split, self.started_s, self.min_sample, self.stale_s = split, started_s, min_sample, stale_s
        self.users = FirstOfUser()
        self.arms = [0, 0]  # users: candidate, baseline
        self.requests = [0, 0]
        self.last_s: float | None = None
        self.by_user = np.zeros(_BUCKETS, np.int64)
        self.fields: dict[str, int] = {}

    def observe(self, outcomes: Outcomes) -> None:
        own = np.ones(len(outcomes), np.bool_) if outcomes.is_label is None else ~outcomes.is_label
        candidate, units = outcomes.candidate[own], outcomes.unit[own]
        first = candidate[self.users.mask(units)]
        self.arms = [self.arms[0] + int(first.sum()), self.arms[1] + int((~first).sum())]
        self.requests = [self.requests[0] + int(candidate.sum()), self.requests[1] + int((~candidate).sum())]
        self.by_user += np.bincount((units % np.uint64(_BUCKETS)).astype(np.int64), minlength=_BUCKETS)
        if len(outcomes):
            latest = float(outcomes.time_s.max())
            self.last_s = latest if self.last_s is None else max(self.last_s, latest)
        for name, values in outcomes.values.items():
            self.fields[name] = self.fields.get(name, 0) + int((~np.isnan(values)).sum())

    def look(self, now_s: float, specs: Sequence[GateSpec]) -> tuple[Guard, ...]:
        found = [self._telemetry(now_s), self._split_as_asked(), self._enough()]
        found.extend(self._field(spec) for spec in specs if self.requests[0] and not self.fields.get(spec.reads))
        if any(spec.unit == "request" for spec in specs):
            found.append(self._dominant())
        return tuple(found)

    def _telemetry(self, now_s: float) -> Guard:
        if self.last_s is None:
            waited = now_s - self.started_s
            return Guard("telemetry", False, f"no telemetry since the stage began {waited:.0f} s ago")
        age = now_s - self.last_s
        if age > self.stale_s:
            return Guard("telemetry", False, f"the last telemetry is {age:.0f} s old: it has stopped")
        return Guard("telemetry", True, "telemetry flows")

    def _split_as_asked(self) -> Guard:
        if self.split >= 1.0:
            return Guard("sample_ratio", True, "all traffic is on the new release")
        new, total = self.arms[0], sum(self.arms)
        log_e = log_mixture(new, total, self.split, 0.5, 0.5) if total else 0.0
        share = f"{new} of {total} users are on the new release, {self.split * 100:g} % was asked"
        if log_e >= -math.log(SPLIT_ALPHA):
            return Guard("sample_ratio", False, f"the split is not what was asked: {share}")
        return Guard("sample_ratio", True, share)

    def _enough(self) -> Guard:
        if self.requests[0] < self.min_sample:
            return Guard(
                "min_sample", False, f"{self.requests[0]} of {self.min_sample} requests seen on the new release"
            )
        return Guard("min_sample", True, f"{self.requests[0]} requests seen on the new release")

    def _field(self, spec: GateSpec) -> Guard:
        return Guard("missing_metric", False, f"telemetry flows, but no record has '{spec.reads}' for {spec.metric}")

    def _dominant(self) -> Guard:
        total = int(self.by_user.sum())
        share = float(self.by_user.max()) / total if total else 0.0
        if total >= _ENOUGH and share > _DOMINANT:
            text = f"one user sends {share * 100:.0f} % of the requests, which are not independent; use 'unit: user'"
            return Guard("dominant_user", False, text)
        return Guard("dominant_user", True, "no user dominates")

    def to_json(self) -> dict[str, Any]:
        return {
            "split": self.split, "started_s": self.started_s, "min_sample": self.min_sample, "stale_s": self.stale_s,
            "users": self.users.to_json(), "arms": self.arms, "requests": self.requests, "last_s": self.last_s,
            "by_user": pack(self.by_user), "fields": self.fields,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Guards:
        guards = cls(data["split"], data["started_s"], data["min_sample"], data["stale_s"])
        guards.users = FirstOfUser.from_json(data["users"])
        guards.arms, guards.requests, guards.last_s = list(data["arms"]), list(data["requests"]), data["last_s"]
        guards.by_user, guards.fields = unpack(data["by_user"]), dict(data["fields"])
        return guards
