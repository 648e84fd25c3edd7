"""The sample ratio: are users split as declared, since when are they not, and what is the likely cause.

Under the declared split the arm of each new user is a draw with known chances, and the Dirichlet mixture of multinomial
likelihoods against these chances is a martingale (Lindon and Malek 2020, https://arxiv.org/abs/2011.03567, equation 8,
here for two arms). The alarm is false with a chance of at most `SPLIT_ALPHA`, however often it is looked at.

Since when is the change point at which what came later fits the declared split least (the greatest likelihood ratio);
it is for reading. Counts are kept in 64 blocks of time at most, which grow by doubling.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from rollcast.planner.gates.binomial import log_mixture
from rollcast.planner.gates.dispersion import BLOCKS, TICK_S, Clusters, Ints, twice_as_long
from rollcast.planner.gates.outcomes import Guard, Outcomes
from rollcast.planner.gates.packing import pack, unpack

SPLIT_ALPHA = 0.001
_MOST_REPLICAS = 256
_NAMED = 3
_ELSEWHERE = (
    "look for a replica that evaluates an older definition, a cache in front of the service, or a kit with another "
    "bucketing ('rollcast status', 'rollcast doctor')"
)


def off(new: int, total: int, split: float) -> bool:
    """Whether so many users of the new release disprove the declared split."""
    return total > 0 and log_mixture(new, total, split, 0.5, 0.5) >= -math.log(SPLIT_ALPHA)


class SampleRatio:
    """Users of both arms of one stage, by time and by replica."""

    def __init__(self, split: float) -> None:
        self.split = split
        self.arms = [0, 0]  # users of candidate, baseline
        self.doublings = 0
        self.blocks: Ints = np.zeros((2, BLOCKS), np.int64)
        self.replicas: dict[str, list[int]] = {}
        self.counted = 0  # requests of a source that knows no users

    def observe(self, outcomes: Outcomes, clusters: Clusters, first: Ints) -> None:
        """Users who are seen for the first time: rows of the batch."""
        if outcomes.counted:
            self.counted += len(first)
            return
        if not len(first):
            return
        new = int(np.count_nonzero(outcomes.candidate[first]))
        self.arms = [self.arms[0] + new, self.arms[1] + len(first) - new]
        while clusters.latest >> self.doublings >= BLOCKS:
            self.doublings += 1
            self.blocks = twice_as_long(self.blocks)
        at = clusters.blocks(self.doublings)[first]
        self.blocks = self.blocks + np.bincount(at, minlength=2 * BLOCKS).reshape(2, BLOCKS)
        if outcomes.replica is not None:
            self._by_replica(outcomes, first)

    def _by_replica(self, outcomes: Outcomes, first: Ints) -> None:
        assert outcomes.replica is not None
        names, code = len(outcomes.replicas), outcomes.replica[first]
        known = code >= 0
        at = code[known] + np.where(outcomes.candidate[first][known], 0, names)
        counts = np.bincount(at, minlength=2 * names).reshape(2, names)
        for name, new, old in zip(outcomes.replicas, *counts.tolist(), strict=True):
            if (new or old) and (name in self.replicas or len(self.replicas) < _MOST_REPLICAS):
                kept = self.replicas.get(name, (0, 0))
                self.replicas[name] = [kept[0] + new, kept[1] + old]

    def guard(self) -> Guard:
        """The finding."""
        if self.split >= 1.0:
            return Guard("sample_ratio", True, "all traffic is on the new release")
        if self.counted and not sum(self.arms):
            text = "the split can't be judged: this telemetry counts requests and knows no users"
            return Guard("sample_ratio", True, text)
        new, total = self.arms[0], sum(self.arms)
        share = f"{new} of {total} users are on the new release, {self.split * 100:g} % is declared"
        if not off(new, total, self.split):
            return Guard("sample_ratio", True, share)
        since_s, part = self._since()
        began = "the stage began" if since_s == 0 else f"about {since_s:.0f} s after the stage began"
        text = f"the split is not the declared one: {share}; {part * 100:.3g} % since {began}; {self._cause()}"
        return Guard("sample_ratio", False, text)

    def _since(self) -> tuple[float, float]:
        """Seconds from the stage's begin to when the split changed, and the new release's share from then on."""
        later = self.blocks[:, ::-1].cumsum(axis=1)[:, ::-1].astype(np.float64)  # from each block on
        total = np.maximum(later.sum(axis=0), 1.0)
        share = later[0] / total
        with np.errstate(divide="ignore", invalid="ignore"):
            new = np.where(later[0] > 0, later[0] * np.log(share / self.split), 0.0)
            old = np.where(later[1] > 0, later[1] * np.log((1 - share) / (1 - self.split)), 0.0)
        at = int((new + old).argmax())
        return at * TICK_S * 2**self.doublings if self.blocks[:, :at].any() else 0.0, float(share[at])

    def _cause(self) -> str:
        strays = [(name, new / (new + old)) for name, new, old in self._strays()]
        if strays and 2 * len(strays) <= len(self.replicas):
            named = ", ".join(f"{name} ({share * 100:.3g} %)" for name, share in strays[:_NAMED])
            more = f" and {len(strays) - _NAMED} more" if len(strays) > _NAMED else ""
            which = "replicas" if len(strays) > 1 else "replica"
            return f"it is {which} {named}{more}: older definitions are evaluated there, or outcomes are lost"
        return _ELSEWHERE

    def _strays(self) -> Iterator[tuple[str, int, int]]:
        """Replicas whose own users are not split as declared."""
        for name, (new, old) in sorted(self.replicas.items()):
            if off(new, new + old, self.split):
                yield name, new, old

    def to_json(self) -> dict[str, Any]:
        return {
            "doublings": self.doublings, "blocks": pack(self.blocks), "counted": self.counted,
            "replicas": {name: list(users) for name, users in self.replicas.items()},
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any] | None, split: float, arms: list[int]) -> SampleRatio:
        """What `to_json` gave; None of a version that counted no more than the arms."""
        found = cls(split)
        found.arms = list(arms)
        if data is None:
            found.blocks[:, 0] = arms
            return found
        found.doublings, found.blocks = data["doublings"], unpack(data["blocks"]).reshape(2, BLOCKS)
        found.counted, found.replicas = data["counted"], {name: list(u) for name, u in data["replicas"].items()}
        return found
