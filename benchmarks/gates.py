"""What the gates cost: outcomes a second beside a plain numpy pass, and the time of one observe and one look.

Run: python benchmarks/gates.py
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np

from rollcast.planner.gates.outcomes import Outcomes
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates

SPECS = (
    GateSpec(metric="violation_rate", margin=0.01),
    GateSpec(metric="slo_attainment", margin=0.03, slo_s=2.0),
    GateSpec(metric="satisfaction", margin=0.05),
    GateSpec(metric="cost_usd", margin=0.002),
    GateSpec(metric="latency_p95_s", margin=0.3),
)
MILLION = 1_000_000


def drawn(n: int, start_s: float, seed: int, split: float = 0.1) -> Outcomes:
    """Outcomes of n users at a split of 10 %."""
    rng = np.random.default_rng(seed)
    values = {
        "violation": (rng.random(n) < 0.02).astype(np.float64),
        "latency_s": rng.lognormal(0, 0.4, n),
        "satisfaction": rng.beta(4, 1, n),
        "cost_usd": rng.lognormal(-5, 0.8, n),
    }
    units = rng.integers(0, 2**63, n).astype(np.uint64)
    return Outcomes(start_s + np.arange(n) * 1e-4, units, rng.random(n) < split, values)


def started(specs: tuple[GateSpec, ...]) -> StageGates:
    return StageGates.start(specs, alpha=0.05, split=0.1, started_s=0.0, min_sample=50)


def best(work: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of several runs."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(time.perf_counter() - begun)
    return min(found)


def plain_pass(batch: Outcomes) -> None:
    """Means, variances and a quantile of each field in both arms: the least that any comparison must compute."""
    for values in batch.values.values():
        for arm in (values[batch.candidate], values[~batch.candidate]):
            arm.mean(), arm.var(), np.quantile(arm, 0.95)


def throughput() -> None:
    batch = drawn(MILLION, 0.0, 1)
    numpy_s = best(lambda: plain_pass(batch))
    print(f"\n{MILLION:,} outcomes in one batch, split 10 %   {'outcomes/s':>14}   ratio to a plain numpy pass")
    print(f"{'numpy: mean, variance, quantile of 4 fields':44}{MILLION / numpy_s:14,.0f}   1.00")
    for spec in SPECS:
        taken = best(lambda spec=spec: started((spec,)).observe(batch))  # type: ignore[misc]
        print(f"{'guards and ' + spec.metric:44}{MILLION / taken:14,.0f}   {taken / numpy_s:.2f} x its time")
    request = SPECS[0].model_copy(update={"unit": "request"})
    taken = best(lambda: started((request,)).observe(batch))
    print(f"{'guards and violation_rate, unit request':44}{MILLION / taken:14,.0f}   {taken / numpy_s:.2f} x its time")
    taken = best(lambda: started(SPECS).observe(batch))
    print(f"{'guards and all five gates':44}{MILLION / taken:14,.0f}   {taken / numpy_s:.2f} x its time")


def live() -> None:
    print(f"\n{'a stage with five gates':44}{'time':>14}")
    stage, looks = started(SPECS), 300
    batches = [drawn(100, 3.0 * at, at) for at in range(looks)]
    taken = [best(lambda batch=batch: stage.observe(batch), 1) for batch in batches]  # type: ignore[misc]
    print(f"{'observe of 100 outcomes, median':44}{np.median(taken) * 1e6:11.0f} us")
    print(f"{'look at all gates and guards':44}{best(lambda: stage.look(900.0), 200) * 1e6:11.0f} us")
    for gate in stage.gates:
        print(f"{'  look at ' + gate.spec.metric:44}{best(lambda gate=gate: gate.look(900.0), 200) * 1e6:11.0f} us")  # type: ignore[misc]
    print(f"{'look, with sentences and intervals':44}{best(lambda: stage.look(900.0).to_json(), 50) * 1e6:11.0f} us")
    print(f"{'snapshot to JSON text':44}{best(lambda: json.dumps(stage.to_json()), 5) * 1e6:11.0f} us")
    text = json.dumps(stage.to_json())
    print(f"{'restore':44}{best(lambda: StageGates.from_json(json.loads(text)), 5) * 1e6:11.0f} us")
    print(f"{'start of a stage':44}{best(lambda: started(SPECS), 20) * 1e6:11.0f} us")
    print(f"{'size of a snapshot':44}{len(text):11,} bytes")


def main() -> None:
    throughput()
    live()


if __name__ == "__main__":
    main()
