"""The compiled engine gives the reference engine's results, bit for bit, for every request and every station."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rollcast.policies.strategies.traffic import disturbances, networks, shared_prompts, sharing, times, traffics
from rollcast.simulator.engines.compiled.engine import CHUNK, Compiled
from rollcast.simulator.engines.interface import Batch, Completed, Demand, Disturbances, Engine, Visits
from rollcast.simulator.engines.reference.world import Simulation
from rollcast.simulator.stations.network import Network
from rollcast.simulator.traffic.recording import Traffic

CHUNKS = st.sampled_from([1, 2, 5, CHUNK])
Results = tuple[list[Completed], Visits, tuple[Demand, ...]]


def served(engine: Engine, traffic: Traffic, pieces: list[float]) -> Results:
    """Everything that an engine reports of a trace that is served in pieces of time."""
    results, done, clock = [], 0, 0.0
    for piece in [*pieces, float("inf")]:
        clock += piece
        upto = int(np.searchsorted(traffic.arrival_s, clock))
        requests = np.arange(done, upto, dtype=np.int64)
        engine.submit(Batch(requests, traffic.arrival_s[requests], requests, requests % 2))
        results.append(engine.advance(clock))
        done = upto
    return results, engine.visits(), engine.demand()


def same(one: object, two: object) -> bool:
    """Equal to the last bit, NaN being itself."""
    return np.array_equal(np.asarray(one), np.asarray(two), equal_nan=np.asarray(one).dtype.kind == "f")


def assert_equal(reference: Results, compiled: Results) -> None:
    for one, two in zip(reference[0], compiled[0], strict=True):
        for name in ("request", "done_s", "failed", "first_token_s", "uses"):
            assert same(getattr(one, name), getattr(two, name)), name
    for name in ("end_s", "start_s", "uses", "arrive_s"):
        assert same(getattr(reference[1], name), getattr(compiled[1], name)), name
    for one, two in zip(reference[2], compiled[2], strict=True):
        assert repr(one) == repr(two)


def check(network: Network, traffic: Traffic, seed: int, faults: Disturbances, pieces: list[float], chunk: int) -> None:
    reference = served(Simulation(network, traffic, seed, faults), traffic, pieces)
    compiled = served(Compiled(network, traffic, seed, faults, chunk=chunk), traffic, pieces)
    assert_equal(reference, compiled)


@given(st.data(), networks(), traffics(), st.integers(0, 2**53), st.lists(times(40), max_size=4), CHUNKS)
def test_both_engines_serve_every_request_alike(
    data: st.DataObject, network: Network, traffic: Traffic, seed: int, pieces: list[float], chunk: int
) -> None:
    check(network, traffic, seed, data.draw(disturbances(network)), pieces, chunk)


@given(networks(("llm",), 1), traffics(60), st.integers(0, 2**53), st.lists(times(40), max_size=2), CHUNKS)
def test_both_engines_batch_and_preempt_alike(
    network: Network, traffic: Traffic, seed: int, pieces: list[float], chunk: int
) -> None:
    check(network, traffic, seed, Disturbances(), pieces, chunk)


@given(sharing(), shared_prompts(), st.lists(times(40), max_size=2), CHUNKS)
def test_both_engines_share_and_forget_prefixes_alike(
    network: Network, traffic: Traffic, pieces: list[float], chunk: int
) -> None:
    check(network, traffic, 1, Disturbances(), pieces, chunk)
