"""A split that is not what was declared: caught, dated, and traced to the replica that does it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.gates.dispersion import Clusters
from rollcast.planner.gates.outcomes import Guard, Outcomes
from rollcast.planner.gates.sample_ratio import SampleRatio
from rollcast.planner.gates.stage import StageGates
from validation import gate_split

NAMES = tuple(f"pod-{number}" for number in range(8))


def users(seed: int, n: int, share: np.ndarray | float, stage_s: float = 1000.0, replicas: bool = False) -> Outcomes:
    rng = np.random.default_rng(seed)
    units, arm = rng.integers(0, 2**63, n).astype(np.uint64), rng.random(n) < share
    where = np.arange(n) % 8 if replicas else None
    return Outcomes(np.linspace(0, stage_s, n), units, arm, {}, replica=where, replicas=NAMES if replicas else ())


def found(batch: Outcomes, split: float = 0.1) -> Guard:
    stage = StageGates.start([], alpha=0.05, split=split, started_s=0.0)
    stage.observe(batch)
    again = StageGates.from_json(json.loads(json.dumps(stage.to_json())))
    guards = {each.name: each for each in again.look(1001.0).guards}
    return guards["sample_ratio"]


def test_a_fifth_of_a_small_share_missing_is_caught() -> None:
    """10 % declared and 8 % real over 50,000 users, 100 times, at some look; right splits are left alone."""
    assert gate_split.alarms(100, 0.1, 0.08)[0] >= 95
    assert gate_split.alarms(1000, 0.1, 0.1)[0] <= 4  # at most one in a thousand is declared


def test_the_sentence_says_how_much_and_since_when() -> None:
    n = 20_000
    share = np.where(np.arange(n) < n / 2, 0.1, 0.03)
    said = found(users(1, n, share))
    assert not said.ok
    assert "10 % is declared" in said.sentence
    assert "since about 5" in said.sentence or "since about 4" in said.sentence, said.sentence
    always = found(users(2, n, 0.05))
    assert "since the stage began" in always.sentence


def test_the_replica_that_evaluates_another_definition_is_named() -> None:
    n = 20_000
    share = np.where(np.arange(n) % 8 == 5, 0.0, 0.1)
    said = found(users(3, n, share, replicas=True))
    assert not said.ok
    assert "replica pod-5 (0 %): older definitions are evaluated there" in said.sentence
    everywhere = found(users(4, n, 0.05, replicas=True))
    assert "pod-" not in everywhere.sentence, "a fault of all of them is nobody's"


def test_a_source_that_counts_requests_says_nothing_of_users() -> None:
    batch = users(5, 4000, 0.5)
    said = found(Outcomes(batch.time_s, batch.unit, batch.candidate, {}, counted=True))
    assert said.ok
    assert said.sentence == "the split can't be judged: this telemetry counts requests and knows no users"


@given(st.integers(0, 50), st.lists(st.integers(0, 600), max_size=5), st.floats(0.1, 1e6))
def test_what_is_known_does_not_depend_on_batches(seed: int, cuts: list[int], stage_s: float) -> None:
    batch, kept = users(seed, 600, 0.2, stage_s, replicas=True), []
    for stops in ([600], [*sorted(cuts), 600]):
        ratio, start = SampleRatio(0.2), 0
        for stop in stops:
            part = batch.rows(slice(start, stop))
            ratio.observe(part, Clusters.of(part, 0.0), np.arange(len(part)))
            start = stop
        kept.append(json.dumps(ratio.to_json(), sort_keys=True))
        assert ratio.blocks.sum() == sum(ratio.arms) == 600
    assert kept[0] == kept[1]


@pytest.mark.parametrize("split", [0.01, 0.5, 0.99])
def test_a_checkpoint_that_knows_only_the_arms_is_read(split: float) -> None:
    old = SampleRatio.from_json(None, split, [3, 400])
    assert old.arms == [3, 400]
    assert old.guard().ok == (split == 0.01)
