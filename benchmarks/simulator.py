"""The simulator's speed, side by side in one run on one core: `python -m benchmarks.simulator [--requests N]`.

A retrieval pipeline of five stations with caches, its generator an `llm` station, through a rollout with gates:
the reference engine and the compiled one. Then one M/M/8 queue alone, with ciw and salabim beside them. Last, Monte
Carlo runs of a whole rollout on two cores. What is claimed is printed as hit or missed; where other work shares the
machine, seconds of processor say more than seconds of the wall clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib.externals.loky import get_reusable_executor

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.simulator.engines.choice import EngineFactory
from rollcast.simulator.engines.interface import Batch, Engine
from rollcast.simulator.forecast.runs import rates_of, seed_of
from rollcast.simulator.forecast.simulate import simulate, stage_of
from rollcast.simulator.replay.replay import replay
from rollcast.simulator.replay.routing import Routing
from rollcast.simulator.traffic.recording import Traffic, read_traffic, spliced

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a file, too
from validation import queue_peers

TRACE = Path(__file__).parents[1] / "examples" / "rag-search" / "traffic" / "AzureLLMInferenceTrace_conv.csv"
STEP = {"base_s": 0.0069, "prefill_token_s": 2.2e-6, "decode_sequence_s": 3.8e-6, "kv_token_s": 7.6e-8}


def _pool(version: str, mean: float, **more: object) -> dict[str, object]:
    service = {"distribution": "lognormal", "mean": mean, "p95": 2 * mean}
    return {"station": "pool", "concurrency": 4, "service_s": service, **more}


def _declaration(version: str) -> Declaration:
    cache = {"entries": 2000, "ttl_s": 600, "hit_s": 0.0005}
    kinds = {
        "embedder": ("embedding-model", _pool(version, 0.004, cache=cache)),
        "index": ("retrieval-index", _pool(version, 0.02, cache=cache)),
        "reranker": ("reranker", _pool(version, 0.03)),
        "generator": ("model-weights", {"station": "llm", "step": STEP, "overhead_s": 0.0155}),
        "safety": ("safety-policy", _pool(version, 0.005)),
    }
    changed = ("generator",)
    artifacts, components, upstream = [], {}, []
    for slot, (kind, profile) in kinds.items():
        own = version if slot in changed else "1"
        artifacts.append(
            {"kind": kind, "name": slot, "version": own, "profile": profile,
             "evaluations": {"violation_rate": {"failures": 4, "total": 1000}} if slot == "generator" else {}}
        )  # fmt: skip
        components[slot] = {"artifact": f"{slot}@{own}", "upstream": upstream, "replicas": 2}
        upstream = [slot]
    return Declaration.model_validate(
        {
            "pipeline": "retrieval", "artifacts": artifacts, "components": components,
            "rollout": {
                "percent": [5, 25, 100], "bake": {"min": "5m", "max": "1h", "then": "hold"}, "look_every": "60s",
                "gates": [{"metric": "violation_rate", "margin": 0.02}, {"metric": "latency_p95_s", "margin": 2.0}],
            },
        }
    )  # fmt: skip


def pipeline_plan() -> Plan:
    """The rollout of a new generator in a pipeline of five stations."""
    return make_plan(_declaration("2"), live_as_declared(_declaration("1")))


def traffic_of(requests: int) -> Traffic:
    """The Azure hour, again and again, cut to a number of requests."""
    hour = read_traffic(TRACE)
    laps = spliced([hour] * -(-requests // len(hour)))
    return laps if len(laps) == requests else laps.between(0.0, float(laps.arrival_s[requests]))


@dataclass(frozen=True)
class Took:
    """Seconds of a piece of work: on the wall clock, and of processors (children that ended included)."""

    wall_s: float
    cpu_s: float


def took(work: Callable[[], object], times: int = 1) -> Took:
    """The least of several times."""
    found = []
    for _ in range(times):
        wall, cpu = time.perf_counter(), _cpu_s()
        work()
        found.append(Took(time.perf_counter() - wall, _cpu_s() - cpu))
    return Took(min(each.wall_s for each in found), min(each.cpu_s for each in found))


def _cpu_s() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _served(engine: Engine, traffic: Traffic, path: np.ndarray) -> None:  # type: ignore[type-arg]
    requests = np.arange(len(traffic), dtype=np.int64)
    engine.submit(Batch(requests, traffic.arrival_s, requests, path))
    engine.advance(float("inf"))


def pipeline_row(name: str, requests: int, plan: Plan, times: int) -> tuple[Took, Took]:
    """The stations alone, and a whole rollout with its gates."""
    traffic = traffic_of(requests)
    stage, _ = stage_of(plan, traffic, name)
    path = Routing(plan, stage.inputs.network, traffic).table(list(plan.servings())[1]).path
    maker: EngineFactory = stage.maker
    first = traffic.between(0.0, 60.0)
    _served(maker.make(1, False), first, path[: len(first)])  # compiles, or loads what was compiled
    alone = took(lambda: _served(maker.make(1, False), traffic, path), times)
    own = seed_of(1, 0)
    rates = rates_of(stage, own)
    return alone, took(lambda: replay(stage.inputs, maker.make(own, True), own, rates), times)


def verdict(said: str, hit: bool) -> None:
    print(f"{'hit ' if hit else 'MISSED'}  {said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the long trace")
    parser.add_argument("--runs", type=int, default=1000, help="Monte Carlo runs of the Azure hour; 0 leaves them out")
    given = parser.parse_args()
    plan = pipeline_plan()
    _pipeline(plan, given.requests)
    _queue()
    if given.runs:
        _monte_carlo(plan, given.runs)


def _pipeline(plan: Plan, long: int) -> None:
    print("five stations with caches and an llm station, on one core; requests a second of wall clock and of processor")
    print(f"{'engine':<10} {'requests':>10}   {'stations alone':>21}   {'with rollout and gates':>23}")
    alone: dict[str, float] = {}
    slowest = float("inf")
    for name, requests, times in (("simpy", 19_366, 1), ("compiled", 19_366, 7), ("compiled", long, 2)):
        served, whole = pipeline_row(name, requests, plan, times)
        alone.setdefault(name, requests / served.cpu_s)
        print(
            f"{name:<10} {requests:>10,}   {requests / served.wall_s:>10,.0f} {requests / served.cpu_s:>10,.0f}"
            f"   {requests / whole.wall_s:>12,.0f} {requests / whole.cpu_s:>10,.0f}"
        )
        if name == "compiled":
            slowest = min(slowest, requests / served.cpu_s)
    times_faster = alone["compiled"] / alone["simpy"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    verdict(
        f"at least 500,000 requests a second of one core: {slowest:,.0f}, stations alone, the slower trace",
        slowest >= 5e5,
    )
    verdict(f"at least 100 x simpy on the Azure hour: {times_faster:.0f} x", times_faster >= 100)
    verdict(f"peak memory below 1 GiB: {peak:.0f} MiB, all of the above in one process\n", peak < 1024)


def _monte_carlo(plan: Plan, runs: int) -> None:
    """Real runs, from the first to the last, on two cores; the workers' start is part of it."""

    def work() -> None:
        simulate(plan, traffic_of(19_366), runs=runs, detect=0, workers=2)
        get_reusable_executor().shutdown(wait=True)  # so that its processor time is known

    whole = took(work)
    verdict(
        f"1,000 runs of the Azure hour through the whole rollout and its counterfactual, gates included, in 60 s on 2"
        f" cores: {runs:,} runs took {whole.wall_s:.1f} s ({whole.cpu_s:.1f} s of processor)",
        whole.wall_s * 1000 / runs < 60,
    )


def _queue() -> None:
    found = queue_peers.compared(20_000)
    slowest = min(speed for _, _, speed in found.values())
    print(f"{'M/M/8 alone':<20} {'requests a second':>18} {'times the slowest':>18}")
    for name, (_, _, speed) in found.items():
        print(f"{name:<20} {speed:>18,.0f} {speed / slowest:>18.1f}")
    print()


if __name__ == "__main__":
    main()
