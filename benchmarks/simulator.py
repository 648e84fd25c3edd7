"""The simulator's speed, side by side in one run on one core: `python -m benchmarks.simulator [--requests N]`.

A retrieval pipeline of five stations with caches, its generator an `llm` station, through a rollout with gates:
the reference engine and the compiled one. Then one M/M/8 queue alone, with ciw and salabim beside them.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rollcast.planner.declaration import Declaration
from rollcast.planner.plan import Plan
from rollcast.planner.planning import live_as_declared, make_plan
from rollcast.simulator.engine import Batch, Engine
from rollcast.simulator.engines import Maker
from rollcast.simulator.replay import replay
from rollcast.simulator.routing import Routing
from rollcast.simulator.runs import rates_of, seed_of
from rollcast.simulator.simulate import simulate, stage_of
from rollcast.simulator.traffic import Traffic, read_traffic, spliced

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


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _served(engine: Engine, traffic: Traffic, path: np.ndarray) -> None:  # type: ignore[type-arg]
    requests = np.arange(len(traffic), dtype=np.int64)
    engine.submit(Batch(requests, traffic.arrival_s, requests, path))
    engine.advance(float("inf"))


def pipeline_row(name: str, requests: int, plan: Plan) -> tuple[float, float]:
    """Requests a second: stations alone, and a whole rollout with its gates."""
    traffic = traffic_of(requests)
    stage, _ = stage_of(plan, traffic, name)
    path = Routing(plan, stage.scene.network, traffic).table(list(plan.servings())[1]).path
    maker: Maker = stage.maker
    first = traffic.between(0.0, 60.0)
    _served(maker.make(1, False), first, path[: len(first)])  # compiles, or loads what was compiled
    alone = requests / seconds(lambda: _served(maker.make(1, False), traffic, path))
    own = seed_of(1, 0)
    rates = rates_of(stage, own)
    rollout = requests / seconds(lambda: replay(stage.scene, maker.make(own, True), own, rates))
    return alone, rollout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the long trace")
    parser.add_argument("--runs", type=int, default=1000, help="Monte Carlo runs of the Azure hour; 0 leaves them out")
    given = parser.parse_args()
    plan = pipeline_plan()
    print("five stations with caches and an llm station; requests a second on one core")
    print(f"{'engine':<10} {'requests':>10} {'stations alone':>15} {'with rollout and gates':>23}")
    alone: dict[str, float] = {}
    for name, requests in (("simpy", 19_366), ("compiled", 19_366), ("compiled", given.requests)):
        speed, whole = pipeline_row(name, requests, plan)
        alone.setdefault(name, speed)
        print(f"{name:<10} {requests:>10,} {speed:>15,.0f} {whole:>23,.0f}")
    print(f"compiled / simpy on the Azure hour: {alone['compiled'] / alone['simpy']:.0f} x")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB\n")
    _queue()
    if given.runs:
        took = seconds(lambda: simulate(plan, traffic_of(19_366), runs=given.runs, detect=0))
        print(f"\n{given.runs:,} runs of the Azure hour through the whole rollout, all cores: {took:.1f} s")


def _queue() -> None:
    found = queue_peers.compared(20_000)
    slowest = min(speed for _, _, speed in found.values())
    print(f"{'M/M/8 alone':<20} {'requests a second':>18} {'times the slowest':>18}")
    for name, (_, _, speed) in found.items():
        print(f"{name:<20} {speed:>18,.0f} {speed / slowest:>18.1f}")


if __name__ == "__main__":
    main()
