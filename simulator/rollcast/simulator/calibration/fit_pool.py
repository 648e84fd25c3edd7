"""A `pool` profile for a whole service from recorded requests: arrival and latency, nothing of what happens inside.

Three things are unknown: how many requests are served at once, how long one keeps a server busy when nothing is in its
way, and how much of its latency does not (network, callers that wake up late). If c are served at once, a request that
finds fewer than c under way does not wait, and its latency is its service time and the overhead; since arrivals don't
know what is under way, those are a fair sample of all. For each c, and each share of the typical one as overhead, that
sample is replayed on the same arrivals; the pair whose latencies have the measured quantiles, for each number found
under way too, is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.measured import quantile_errors
from rollcast.simulator.stations.distributions import TABLE_POINTS, Distribution
from rollcast.simulator.stations.profiles import PoolProfile
from rollcast.simulator.traffic.recording import Traffic

SERVERS = (1, 2, 3, 4, 6, 8, 16, 32, 64)
_EVEN = np.linspace(0, 1, TABLE_POINTS)
_SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # of the median service, as overhead
_SEED, _LEAST_SEEN = 1, 50
_LEAST_REQUESTS = 200
_LEVELS = 100


@dataclass(frozen=True)
class PoolFit:
    """A fitted profile and how well it reproduces what it was fitted to."""

    profile: PoolProfile
    errors: Mapping[str, float]
    requests: int
    rate_per_s: float


def fit_pool(traffic: Traffic, latency_s: Floats) -> PoolFit:
    """The profile under which `traffic` would have been served as measured. Raises SimulatorError."""
    if len(traffic) < _LEAST_REQUESTS:
        raise SimulatorError(f"Only {len(traffic)} requests; {_LEAST_REQUESTS} are the least that can be fitted.")
    tried = ((servers, share) for servers in SERVERS for share in _SHARES)
    best = min((_with(traffic, latency_s, *each) for each in tried), key=lambda found: found[0])
    profile = best[1]
    served = serve_alone(profile, traffic, seed=_SEED)
    errors = quantile_errors("latency", served.latency_s, latency_s)
    return PoolFit(profile, errors, len(traffic), len(traffic) / traffic.span_s)


def _with(traffic: Traffic, latency_s: Floats, servers: int, share: float) -> tuple[float, PoolProfile]:
    ahead = _ahead(traffic.arrival_s, latency_s)
    unhindered = latency_s[ahead < servers]
    if len(unhindered) < _LEAST_SEEN:
        unhindered = latency_s
    overhead_s = round(share * float(np.median(unhindered)), 7)
    profile = _pool(unhindered - overhead_s, servers, overhead_s)
    return _off(traffic.arrival_s, serve_alone(profile, traffic, seed=_SEED).latency_s, latency_s), profile


def _ahead(arrival_s: Floats, latency_s: Floats) -> Floats:
    """How many requests were under way when each arrived."""
    ends = np.sort(arrival_s + latency_s)
    before = np.arange(len(arrival_s), dtype=np.float64)
    found: Floats = before - np.searchsorted(ends, arrival_s, "right")
    return found


def _pool(service_s: Floats, servers: int, overhead_s: float) -> PoolProfile:
    """Even quantiles; the last one such that the mean is that of the sample, for between two it is a straight line.

    With the maximum there, one stall in thousands of requests would make one in a hundred slow, and queues of it.
    """
    service_s = np.maximum(service_s, 0.0)
    even = np.quantile(service_s, _EVEN)
    slowest = service_s[service_s >= even[-2]]
    even[-1] = max(even[-2], 2 * float(slowest.mean()) - even[-2])
    quantiles = tuple(float(value) for value in np.round(even, 7))
    service = Distribution(distribution="empirical", quantiles=quantiles)
    return PoolProfile(concurrency=servers, service_s=service, overhead_s=overhead_s)


def _off(arrival_s: Floats, simulated: Floats, measured: Floats) -> float:
    """How far latencies are apart: their quantiles, and their medians by how many requests were found under way."""
    whole = [np.log(np.quantile(simulated, q) / np.quantile(measured, q)) for q in (0.5, 0.9, 0.95, 0.99)]
    one, two = _ahead(arrival_s, simulated), _ahead(arrival_s, measured)
    levels = [
        np.log(np.median(simulated[one == n]) / np.median(measured[two == n]))
        for n in range(_LEVELS)
        if min((one == n).sum(), (two == n).sum()) >= _LEAST_SEEN
    ]
    return float(np.sqrt(np.mean(np.square(whole))) + np.sqrt(np.mean(np.square(levels or [1.0]))))
