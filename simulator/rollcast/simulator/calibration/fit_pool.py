"""A `pool` profile for a whole service from recorded requests: arrival and latency, nothing of what happens inside.

Two things are unknown: how many requests are served at once, and how long one takes when nothing is in its way. If c
are served at once, a request that finds fewer than c under way does not wait, and its latency is its service time;
since arrivals don't know what is under way, those are a fair sample of all. For each c that sample is replayed on the
same arrivals; the c whose latencies have the measured quantiles, for each number found under way too, is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.fit_llm import quantile_errors
from rollcast.simulator.distributions import Distribution
from rollcast.simulator.draws import Floats
from rollcast.simulator.errors import SimulatorError
from rollcast.simulator.profiles import PoolProfile
from rollcast.simulator.traffic import Traffic

SERVERS = (1, 2, 3, 4, 6, 8, 16, 32, 64)
_POINTS = np.concatenate([np.linspace(0, 0.96, 49), np.linspace(0.97, 1, 7)])
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
    best = min((_with_servers(traffic, latency_s, servers) for servers in SERVERS), key=lambda found: found[0])
    profile = best[1]
    served = serve_alone(profile, traffic, seed=_SEED)
    errors = quantile_errors("latency", served.latency_s, latency_s)
    return PoolFit(profile, errors, len(traffic), len(traffic) / traffic.span_s)


def _with_servers(traffic: Traffic, latency_s: Floats, servers: int) -> tuple[float, PoolProfile]:
    ahead = _ahead(traffic.arrival_s, latency_s)
    unhindered = latency_s[ahead < servers]
    service = np.quantile(unhindered, _POINTS) if len(unhindered) >= _LEAST_SEEN else np.quantile(latency_s, _POINTS)
    profile = _pool(service, servers)
    return _off(traffic.arrival_s, serve_alone(profile, traffic, seed=_SEED).latency_s, latency_s), profile


def _ahead(arrival_s: Floats, latency_s: Floats) -> Floats:
    """How many requests were under way when each arrived."""
    ends = np.sort(arrival_s + latency_s)
    before = np.arange(len(arrival_s), dtype=np.float64)
    found: Floats = before - np.searchsorted(ends, arrival_s, "right")
    return found


def _pool(service: Floats, servers: int) -> PoolProfile:
    even = np.interp(np.linspace(0, 1, 257), _POINTS, service)
    quantiles = tuple(float(value) for value in np.round(even, 7))
    return PoolProfile(concurrency=servers, service_s=Distribution(distribution="empirical", quantiles=quantiles))


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
