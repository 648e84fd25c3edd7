"""How much outcomes of one arm hang together, and by how much a test has to be widened for it.

One bad replica or one bad minute makes many outcomes fail together: they are not so many pieces of evidence. The
variance of the difference of both arms' means is estimated from sums over clusters (Liang and Zeger 1986,
https://doi.org/10.1093/biomet/73.1.13, with the small-sample factor k / (k - 1)) and divided by what it would be if
outcomes were independent. That ratio, the over-dispersion, divides every log e-value, as a quasi-likelihood is divided
by its dispersion (McCullagh and Nelder 1989, Generalized Linear Models, section 9.2): where the variance of a sum is
phi times as large, exp(log e / phi) has again an expectation of at most one, in the limit of many clusters.

Clusters are blocks of time, and replicas where telemetry names them. In a block of time both arms are taken together,
so that what happens to both at once (a day's curve, a step, a bad hour upstream) cancels. Blocks are 64 at most: they
grow by doubling, and are looked at in all lengths that leave eight of them, so that noise as slow as an eighth of
the stage is seen (batch means, Flegal and Jones 2010, https://arxiv.org/abs/0811.1729).

Over-dispersion that chance explains (95 times in 100, by chi-squared) does not widen, so that independent outcomes cost
little. Where clusters are declared, all of it counts, with its upper bound (90 %), and nothing is proved before there
are eight of them. Sums are of whole numbers, so no bit depends on how outcomes were cut into batches.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from rollcast.planner.gates.outcomes import Bools, Floats, Outcomes, Units
from rollcast.planner.gates.packing import pack, unpack

Ints = npt.NDArray[np.int64]
TICK_S = 0.25  # the shortest block of time
BLOCKS = 64
REPLICAS = 64  # clusters of replicas, by hash of the name
USERS = 1024  # clusters of users, by hash of the key
LEAST = 8  # clusters from which over-dispersion is estimated
MINUTE_S = 60.0
SCALE = 4096  # steps in which outcomes between 0 and 1 are counted
_SEEN, _DECLARED = 1.6449, -1.2816  # of chi-squared: its 95 % and its 10 % point, as quantiles of the normal
_HIGHEST = 0.96  # correlation of neighbouring blocks
_PER_EVENT = 4  # blocks for each failure that the smaller arm may expect: rare failures need long ones


class Clusters:
    """What outcomes of a batch belong to: [n] `TICK_S` since the stage began, [n] hash of the replica's name (-1: not
    known; None: of none), [n] hashed user, [n] true for the baseline. Worked out once for all gates."""

    def __init__(self, ticks: Ints, replica: Ints | None, unit: Units, baseline: Bools) -> None:
        self.ticks, self.replica, self.unit, self.baseline = ticks, replica, unit, baseline
        self.latest = int(ticks.max()) if len(ticks) else 0
        self._blocks: tuple[int, Ints] | None = None

    @classmethod
    def of(cls, outcomes: Outcomes, started_s: float) -> Clusters:
        """Those of a batch of a stage that began then."""
        ticks = np.maximum((outcomes.time_s - started_s) * (1 / TICK_S), 0.0).astype(np.int64)
        return cls(ticks, _replicas(outcomes), outcomes.unit, ~outcomes.candidate)

    def rows(self, chosen: Ints) -> Clusters:
        """Some of them, in the same order."""
        replica = None if self.replica is None else self.replica[chosen]
        return Clusters(self.ticks[chosen], replica, self.unit[chosen], self.baseline[chosen])

    def blocks(self, doublings: int) -> Ints:
        """[n] place of arm and block of time."""
        if self._blocks is None or self._blocks[0] != doublings:
            places = self.ticks >> doublings
            places[self.baseline] += BLOCKS
            self._blocks = doublings, places
        return self._blocks[1]


def _replicas(outcomes: Outcomes) -> Ints | None:
    if outcomes.replica is None:
        return None
    places = np.array([*(crc32(name.encode()) % REPLICAS for name in outcomes.replicas), -1], np.int64)
    return places[outcomes.replica]


def twice_as_long(blocks: Ints) -> Ints:
    """[2, BLOCKS] counts in blocks of twice the length; the second half is free for what comes."""
    kept = blocks.reshape(2, BLOCKS // 2, 2).sum(axis=2)
    return np.concatenate([kept, np.zeros_like(kept)], axis=1)


class Sums:
    """[arms, clusters] outcomes and the sums of their scores."""

    def __init__(self, clusters: int) -> None:
        self.n: Ints = np.zeros((2, clusters), np.int64)
        self.score: Ints = np.zeros((2, clusters), np.int64)

    def add(self, at: Ints, scores: Bools | Floats) -> None:
        """Outcomes of a batch: the place of its arm and cluster, and the score of each."""
        clusters = self.n.shape[1]
        self.n += np.bincount(at, minlength=2 * clusters).reshape(2, clusters)
        if scores.dtype == np.bool_:
            more = np.bincount(at[scores], minlength=2 * clusters) * SCALE
        else:
            more = np.bincount(at, weights=scores, minlength=2 * clusters).astype(np.int64)
        self.score += more.reshape(2, clusters)

    def to_json(self) -> dict[str, Any]:
        return {"n": pack(self.n), "score": pack(self.score)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Sums:
        sums = cls(0)
        shape = (2, -1)
        sums.n, sums.score = unpack(data["n"]).reshape(shape), unpack(data["score"]).reshape(shape)
        return sums


class Dispersion:
    """What one gate knows of how its outcomes hang together. `cluster` is what the gate declares, or None."""

    def __init__(self, cluster: str | None = None) -> None:
        self.cluster = cluster
        self.doublings = 0  # of the length of a block of time
        self.time = Sums(BLOCKS)
        self.replica: Sums | None = None
        self.user = Sums(USERS) if cluster == "user" else None

    def observe(self, scores: Bools | Floats, clusters: Clusters) -> None:
        """Outcomes that count: whether each failed, or what it scores in whole steps of `SCALE` to one."""
        if not len(scores):
            return
        while clusters.latest >> self.doublings >= BLOCKS:
            self._double()
        self.time.add(clusters.blocks(self.doublings), scores)
        if clusters.replica is not None:
            known = clusters.replica >= 0
            self.replica = self.replica or Sums(REPLICAS)
            self.replica.add((clusters.replica + REPLICAS * clusters.baseline)[known], scores[known])
        if self.user is not None:
            user = (clusters.unit % np.uint64(USERS)).astype(np.int64)
            self.user.add(user + USERS * clusters.baseline, scores)

    def add(self, n: Ints, failed: Ints, after_s: float) -> None:
        """Outcomes of both arms that are only counted, [2] each, so many seconds after the stage began."""
        tick = max(int(after_s / TICK_S), 0)
        while tick >> self.doublings >= BLOCKS:
            self._double()
        self.time.n[:, tick >> self.doublings] += n
        self.time.score[:, tick >> self.doublings] += failed * SCALE

    def _double(self) -> None:
        self.doublings += 1
        for name in ("n", "score"):
            setattr(self.time, name, twice_as_long(getattr(self.time, name)))

    def widening(self, spread: Floats | None = None) -> float:
        """What log e-values are divided by, at least 1; infinite where declared clusters are too few.

        spread: [2] variance of one outcome in each arm; None where an outcome is one of two.
        """
        n, score = self.time.n.sum(axis=1), self.time.score.sum(axis=1)
        declared = self.cluster is not None
        if n.min() == 0:
            return math.inf if declared else 1.0
        mean = score / n
        spread = mean * (SCALE - mean) if spread is None else spread * SCALE**2
        variance = float((spread / n).sum())
        if variance <= 0:
            return math.inf if declared else 1.0
        events = float(n.min() * (n @ spread)) / float(n.sum()) / SCALE**2
        found = [self._over_time(n, mean, variance, events)]
        if self.replica is not None:
            found.append(self._over(self.replica, mean, variance, self.cluster == "replica"))
        elif self.cluster == "replica":
            return math.inf
        if self.user is not None:
            found.append(self._over(self.user, mean, variance, True))
        return max(found)

    def _over_time(self, n: Ints, mean: Floats, variance: float, events: float) -> float:
        declared = self.cluster == "minute"
        last = int(np.flatnonzero(self.time.n.any(axis=0))[-1]) + 1
        parts = (self.time.score - self.time.n * mean[:, None]) / n[:, None]
        parts = (parts[0] - parts[1])[:last]
        length_s = TICK_S * 2**self.doublings
        worst, looked = 1.0, False
        while len(parts) >= LEAST:
            k = len(parts)
            if length_s >= MINUTE_S if declared else k <= _PER_EVENT * events:
                looked = True
                worst = max(worst, _beyond_chance(parts, variance, declared))
            whole = parts[: k // 2 * 2].reshape(-1, 2).sum(axis=1)
            parts, length_s = (whole if k % 2 == 0 else np.append(whole[:-1], whole[-1] + parts[-1])), 2 * length_s
        return worst if looked or not declared else math.inf

    @staticmethod
    def _over(sums: Sums, mean: Floats, variance: float, declared: bool) -> float:
        n = sums.n.sum(axis=1)
        taken = sums.n.any(axis=0)
        if np.count_nonzero(taken) < LEAST or n.min() == 0:
            return math.inf if declared else 1.0
        parts = (sums.score - sums.n * mean[:, None]) / n[:, None]
        return _beyond_chance((parts[0] - parts[1])[taken], variance, declared, neighbours=False)

    def to_json(self) -> dict[str, Any]:
        return {
            "cluster": self.cluster, "doublings": self.doublings, "time": self.time.to_json(),
            "replica": None if self.replica is None else self.replica.to_json(),
            "user": None if self.user is None else self.user.to_json(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Dispersion:
        found = cls(data["cluster"])
        found.doublings, found.time = data["doublings"], Sums.from_json(data["time"])
        found.replica = None if data["replica"] is None else Sums.from_json(data["replica"])
        found.user = None if data["user"] is None else Sums.from_json(data["user"])
        return found


def _beyond_chance(parts: Floats, variance: float, declared: bool, neighbours: bool = True) -> float:
    """Over-dispersion that these clusters show, [k] contributions to the difference; 1 where chance explains it."""
    k = len(parts)
    squares = float(parts @ parts)
    ratio = squares / variance * k / (k - 1)
    if not declared:
        return ratio if ratio * (k - 1) > _chi2(k, _SEEN) else 1.0
    worst = max(1.0, ratio * (k - 1) / _chi2(k, _DECLARED))
    if neighbours and squares > 0:
        near = float(parts[1:] @ parts[:-1]) / squares
        if near > 1 / math.sqrt(k):  # noise slower than a block, as of an autoregression; estimates of it are low
            near = min(near + (1 + 3 * near) / k, _HIGHEST)
            worst = max(worst, ratio * (1 + near) / (1 - near))
    return worst


@lru_cache(maxsize=4096)
def _chi2(k: int, z: float) -> float:
    """A point of chi-squared with k - 1 degrees of freedom (Wilson and Hilferty 1931, within 0.5 % from seven on)."""
    part = 2 / (9 * (k - 1))
    return (k - 1) * (1 - part + z * math.sqrt(part)) ** 3
