"""One station on its own: what a profile makes of recorded requests, for fitting and for validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rollcast.planner.declaration.models import Price
from rollcast.simulator.base.draws import Floats
from rollcast.simulator.engines.interface import Batch, Demand, Engine, Visits
from rollcast.simulator.stations.network import Network, Path, PathStep, StationSpec, overhead_of
from rollcast.simulator.stations.profiles import Profile
from rollcast.simulator.traffic.recording import Traffic


@dataclass(frozen=True)
class Served:
    """Per request [n]: latency_s, first_token_s since arrival (NaN without one); failed requests are NaN in both."""

    latency_s: Floats
    first_token_s: Floats
    visits: Visits
    demand: Demand
    done_s: Floats


def single(profile: Profile, replicas: int = 1, timeout_s: float | None = None) -> Network:
    """A network of one station, the last; one before it takes the time of its overhead, if it has one."""
    spec = StationSpec("alone", "alone", "alone@1", 1, profile, replicas, timeout_s, Price())
    specs = (*overhead_of(spec), spec)
    steps = tuple(PathStep(each.slot, i, (i - 1,) if i else (), None, True) for i, each in enumerate(specs))
    return Network(specs, (Path("alone", "alone", steps, ()),), {"alone": 0}, True)


def serve_alone(profile: Profile, traffic: Traffic, *, replicas: int = 1, seed: int = 0) -> Served:
    """Every request of a trace at one station, by the compiled engine."""
    from rollcast.simulator.engines.compiled.engine import Compiled

    return run(Compiled(single(profile, replicas), traffic, seed), traffic)


def run(engine: Engine, traffic: Traffic) -> Served:
    """Every request of a trace through an engine of one path."""
    requests = np.arange(len(traffic), dtype=np.int64)
    engine.submit(Batch(requests, traffic.arrival_s, requests, np.zeros(len(traffic), np.int64)))
    completed = engine.advance(float("inf"))
    latency, first, done = (np.full(len(traffic), np.nan) for _ in range(3))
    arrival = traffic.arrival_s[completed.request]
    done[completed.request] = completed.done_s
    latency[completed.request] = np.where(completed.failed, np.nan, completed.done_s - arrival)
    first[completed.request] = np.where(completed.failed, np.nan, completed.first_token_s - arrival)
    return Served(latency, first, engine.visits(), engine.demand()[-1], done)
