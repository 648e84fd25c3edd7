"""The validation runs the gates' own statistics, and its figures hold at a small scale too."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from rollcast.planner.gates.outcomes import Outcomes
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates
from tests.gates.streams import users
from validation import __main__ as page
from validation import gates
from validation.gate_oracles import rate_requests, z_test_power
from validation.gate_streams import (
    KINDS,
    MARGINS,
    WORSE,
    Arms,
    QuantileStreams,
    World,
    blocks_of,
    first_block,
    paths,
)

SPECS = {
    "rate": GateSpec(metric="violation_rate", margin=MARGINS["rate"]),
    "slo": GateSpec(metric="slo_attainment", margin=MARGINS["slo"], slo_s=2.0),
    "mean": GateSpec(metric="satisfaction", margin=MARGINS["mean"]),
    "cost": GateSpec(metric="cost_usd", margin=MARGINS["cost"]),
    "quantile": GateSpec(metric="latency_p95_s", margin=MARGINS["quantile"]),
}
EFFECTS = {"rate": 0.1, "slo": 1.5, "mean": 0.1, "cost": 1.8, "quantile": 1.5}


def outcomes_of(arms: Arms, run: int) -> Outcomes:
    """One run as a live stage sees it: request after request, block after block."""
    values = {
        name: np.concatenate([arms.candidate[name][run], arms.baseline[name][run]], axis=1).ravel()
        for name in arms.candidate
    }
    n = len(next(iter(values.values())))
    candidate = np.tile(np.arange(sum(arms.sizes)) < arms.sizes[0], n // sum(arms.sizes))
    keys = (np.arange(n) + (users(1)[0] >> np.uint64(20)) * np.uint64(n)).astype(np.uint64)
    return Outcomes(np.arange(n) * 1.0, keys, candidate, values)


@pytest.mark.parametrize("split", [0.5, 0.1])
@pytest.mark.parametrize("kind", KINDS)
def test_drivers_find_what_a_stage_finds_with_a_look_after_every_request(kind: str, split: float) -> None:
    rng = np.random.default_rng(3)
    arms = blocks_of(rng, 3, 800, split, WORSE[kind](World(), EFFECTS[kind]), World())
    if kind == "quantile":
        low, high = World().quantile_s, World(slower=EFFECTS[kind]).quantile_s
        streams = QuantileStreams(arms, split, MARGINS[kind], harm=True)
        driven = streams.first([low, (low + high) / 2, high], math.log(20))
    else:
        driven = first_block(paths(kind, arms, MARGINS[kind])[0], math.log(20)) * sum(arms.sizes)
    assert np.isfinite(driven).any()
    for run in range(3):
        stage = StageGates.start([SPECS[kind]], alpha=0.05, split=split, started_s=0.0)
        batch, found = outcomes_of(arms, run), math.inf
        for row in range(len(batch)):
            stage.observe(batch.rows(slice(row, row + 1)))
            evidence = stage.gates[0].look(float(row))
            if evidence.e_value_harm is not None and evidence.e_value_harm >= 20:
                found = row + 1.0
                break
        assert found == driven[run]


def test_false_rollbacks_stay_within_the_declared_rate_under_a_look_after_every_request() -> None:
    runs = 250
    found = gates.false_rollbacks(runs, requests=1500)
    for kind in (*KINDS, "all"):
        assert found[kind] <= 0.05 * runs + 2 * math.sqrt(0.05 * runs), kind
    assert found["all, undivided"] > found["all"]


def test_false_proofs_of_no_worse_stay_within_the_declared_rate() -> None:
    runs = 150
    for kind, events in gates.false_advances(runs, requests=1500).items():
        assert events <= 0.05 * runs + 2.5 * math.sqrt(0.05 * runs), kind


@pytest.mark.parametrize(("old", "new"), [(0.01, 0.02), (0.05, 0.08), (0.20, 0.25)])
def test_harm_is_detected_within_one_and_a_half_times_the_best_fixed_sample(old: float, new: float) -> None:
    best = rate_requests(old, new, 0.5)
    found = gates.detection("rate", World(violation=new), World(violation=old), 0.5, int(3 * best), 250)
    assert np.median(found) <= 1.5 * best


@pytest.mark.parametrize(("old", "new"), [(0.01, 0.02), (0.05, 0.08), (0.20, 0.25)])
def test_the_best_fixed_sample_has_the_power_it_claims(old: float, new: float) -> None:
    power = z_test_power(old, new, 0.5, rate_requests(old, new, 0.5), np.random.default_rng(1))
    assert 0.78 <= power <= 0.82


@pytest.mark.slow
def test_the_page_is_written_at_a_small_scale(tmp_path: Path) -> None:
    chosen = [part for name in ("gates", "gate_agreement", "gate_peers") for part in ("--only", name)]
    page.main(["--scale", "0.002", *chosen, "--out", str(tmp_path / "page.md")])
    text = (tmp_path / "page.md").read_text()
    assert text.startswith("# Validation\n")
    assert "### False rollbacks" in text
    assert "## Agreement with published implementations" in text
    assert "## Kayenta's and Flagger's rules on the same streams" in text
    assert " nan " not in text
