"""How a new split reaches the replicas: each follows after a delay of its own, and until then routes as before.

Delays are lognormal through the declared p50 and p99: mu = ln p50 and sigma = (ln p99 - ln p50) / z with z the standard
normal's 0.99 quantile, since the q-quantile of a lognormal is exp(mu + sigma z_q) (Johnson, Kotz and Balakrishnan 1994,
Continuous Univariate Distributions 1, chapter 14). A milestone is reached when the last replica has followed, as the
driver waits for all of them. Which replica serves a request is drawn for the request: a load balancer in front.
"""

from __future__ import annotations

import math

import numpy as np

from rollcast.planner.declaration.models import Propagation
from rollcast.simulator.base.draws import (
    Floats,
    Ints,
    Purpose,
    Shape,
    name_number,
    normal_quantile,
    quantile,
    uniform,
    uniforms_of,
)
from rollcast.simulator.replay.routing import RoutingTable

_DELAY, _REPLICA = name_number("propagation"), name_number("replica")
_NO_TABLE = np.empty(0)


class Following:
    """One change of split on its way. `number`: of the change in its replay; `at_s`: when it was written."""

    def __init__(self, declared: Propagation, seed: int, number: int, at_s: float, before: RoutingTable) -> None:
        self._seed, self._before = seed, before
        mu = math.log(declared.p50)
        sigma = (math.log(declared.p99) - mu) / normal_quantile(0.99)
        drawn = [
            uniform(seed, number * declared.replicas + r, _DELAY, Purpose.PROPAGATION) for r in range(declared.replicas)
        ]
        self.delays_s = np.array([quantile(Shape.LOGNORMAL, mu, sigma, _NO_TABLE, u) for u in drawn])
        self._follows_s = at_s + self.delays_s

    @property
    def last_s(self) -> float:
        """When the last replica follows."""
        return float(self._follows_s.max())

    def routed(
        self, after: RoutingTable, requests: Ints, rows: Ints, times: Floats
    ) -> tuple[Ints, Ints, tuple[tuple[str, str], ...]]:
        """Path and place of requests, and what the numbers of places mean: by the split that each one's replica has."""
        count = len(self._follows_s)
        replica = (uniforms_of(self._seed, requests, _REPLICA, Purpose.PROPAGATION) * count).astype(np.int64)
        late = times < self._follows_s[replica]
        before = self._before
        places = (*after.places, *before.places)
        place = np.where(before.place[rows] < 0, -1, before.place[rows] + len(after.places))
        return (
            np.where(late, before.path[rows], after.path[rows]),
            np.where(late, place, after.place[rows]),
            places,
        )
