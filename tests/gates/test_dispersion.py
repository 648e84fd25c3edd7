"""Outcomes of one arm that hang together do not count as independent ones."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.gates.dispersion import BLOCKS, TICK_S, Clusters, Dispersion
from rollcast.planner.gates.outcomes import Outcomes, Verdict
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates
from validation import gate_dependence as dependence

ERROR = GateSpec(metric="error_rate", margin=0.001, unit="request")


def drawn(seed: int, n: int, stage_s: float, rate: float = 0.05, split: float = 0.5) -> Outcomes:
    rng = np.random.default_rng(seed)
    values = {"error": (rng.random(n) < rate).astype(np.float64)}
    units, arm = rng.integers(0, 2**63, n).astype(np.uint64), rng.random(n) < split
    names = tuple(f"replica-{number}" for number in range(12))
    return Outcomes(np.sort(rng.uniform(0, stage_s, n)), units, arm, values, None, None, rng.integers(-1, 12, n), names)


def taken(batch: Outcomes, cluster: str | None, cuts: list[int]) -> Dispersion:
    found, start = Dispersion(cluster), 0
    for stop in [*sorted(cut % (len(batch) + 1) for cut in cuts), len(batch)]:
        part = batch.rows(slice(start, stop))
        found.observe(part.values["error"] > 0.5, Clusters.of(part, 0.0))
        start = stop
    return found


@given(st.integers(0, 99), st.lists(st.integers(0, 10_000), max_size=8), st.sampled_from([None, "user", "minute"]))
def test_what_is_known_does_not_depend_on_how_outcomes_were_cut_into_batches(
    seed: int, cuts: list[int], cluster: str | None
) -> None:
    batch = drawn(seed, 400, 10 ** (seed % 5))
    whole, parts = taken(batch, cluster, []), taken(batch, cluster, cuts)
    assert json.dumps(whole.to_json()) == json.dumps(parts.to_json())
    again = Dispersion.from_json(json.loads(json.dumps(parts.to_json())))
    assert again.widening() == whole.widening()
    assert json.dumps(again.to_json()) == json.dumps(whole.to_json())


@given(st.integers(0, 99), st.floats(0.3, 1e6), st.sampled_from([None, "user", "replica", "minute"]))
def test_a_test_is_never_made_narrower(seed: int, stage_s: float, cluster: str | None) -> None:
    found = taken(drawn(seed, 300, stage_s, 0.3), cluster, [])
    assert found.widening() >= 1
    assert found.time.n.sum() == 300
    assert found.doublings == 0 or stage_s > BLOCKS * TICK_S / 2


def test_outcomes_that_repeat_each_other_count_once() -> None:
    """Every outcome ten times over in its moment: ten of them are worth one."""
    ratios = []
    for seed in range(20):
        one = drawn(seed, 4000, 3600.0, 0.2)
        often = replace(one.rows(np.repeat(np.arange(4000), 10)), replica=None)
        ratios.append(taken(often, None, []).widening())
    assert 7 < float(np.median(ratios)) < 16, ratios


def test_independent_outcomes_are_mostly_left_as_they_are() -> None:
    widened = [taken(drawn(seed, 4000, 3600.0, 0.1), None, []).widening() for seed in range(60)]
    assert np.mean(np.array(widened) == 1.0) > 0.6
    assert max(widened) < 5


def test_what_happens_to_both_arms_at_once_widens_nothing() -> None:
    widened = []
    for seed in range(40):
        batch = replace(drawn(seed, 8000, 3600.0), replica=None)
        rng = np.random.default_rng([1, seed])
        rate = np.where((batch.time_s > 900) & (batch.time_s < 1500), 0.5, 0.05)
        failed = (rng.random(8000) < rate).astype(np.float64)
        widened.append(taken(replace(batch, values={"error": failed}), None, []).widening())
    assert np.mean(np.array(widened) > 2) < 0.2


@pytest.mark.parametrize("kind", [1, 2, 7])
def test_noise_of_one_arm_is_no_harm(kind: int) -> None:
    """A small run of `validation/gate_dependence.py`; without widening 4 in 10 of the last two roll back."""
    spec = replace_spec(margin=0.001)
    found = [
        dependence.minutes_to_rollback(
            dependence.stream(dependence.ADVERSITIES[kind], np.random.default_rng([43, kind, seed])), spec
        )
        for seed in range(30)
    ]
    assert np.isfinite(found).sum() <= 4


def replace_spec(**more: object) -> GateSpec:
    return GateSpec.model_validate({**ERROR.model_dump(), **more})


@given(st.integers(0, 50))
def test_declared_minutes_are_waited_for(seed: int) -> None:
    """A gate with `cluster: minute` proves nothing before there are eight of them, whatever comes."""
    gates = StageGates.start([replace_spec(cluster="minute")], alpha=0.05, split=0.5, started_s=0.0)
    batch = drawn(seed, 2000, 470.0)
    worst = replace(batch, values={"error": batch.candidate.astype(np.float64)})
    gates.observe(worst)
    found = gates.look(470.0).evidences[0]
    assert found.verdict is Verdict.CONTINUE
    assert math.isinf(found.widened)
    assert "takes at least 8 minutes" in found.sentence
    assert json.loads(json.dumps(found.to_json()))["widened"] is None


def test_one_bad_replica_that_is_named_proves_nothing_of_the_release() -> None:
    batch = drawn(3, 20_000, 600.0, 0.02)
    assert batch.replica is not None
    place = np.where(batch.candidate, batch.replica % 6, 6 + batch.replica % 6)
    bad = batch.candidate & (place == 0)
    failed = np.where(bad, 1.0, batch.values["error"])
    for named in (False, True):
        gates = StageGates.start([ERROR], alpha=0.05, split=0.5, started_s=0.0)
        gates.observe(replace(batch, values={"error": failed}, replica=place if named else None))
        found = gates.look(600.0).evidences[0]
        assert (found.verdict is Verdict.ROLL_BACK) is not named
        assert ("which hang together" in found.sentence) is named
