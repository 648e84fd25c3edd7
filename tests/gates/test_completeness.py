"""A release whose requests vanish from telemetry is not healthy by what is left of them."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.gates.completeness import METRIC, Completeness
from rollcast.planner.gates.outcomes import Outcomes, Verdict
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.planner.gates.stage import StageGates
from tests.gates.streams import EVERY_KIND

ERROR = GateSpec(metric="error_rate", margin=0.02)


def polled(
    seed: int, lost: tuple[float, float], per_s: int = 40, stage_s: int = 600, split: float = 0.25
) -> float | None:
    """Seconds until the loss of the new release is proved, looking every second; None without a proof."""
    rng, stage_s = np.random.default_rng(seed), 600
    entered = np.cumsum(rng.poisson([per_s * split, per_s * (1 - split)], (stage_s, 2)), axis=0)
    more = np.diff(entered, axis=0, prepend=0)
    missing = np.cumsum(rng.binomial(more, lost), axis=0)
    test = Completeness(0.005)
    for second in range(stage_s):
        test.counted([(int(e), int(m)) for e, m in zip(entered[second], missing[second], strict=True)], second + 1.0)
        if test.look() is not None:
            return second + 1.0
    return None


def test_requests_that_vanish_from_the_new_release_are_proved_harm() -> None:
    found = [polled(seed, (0.1, 0.0)) for seed in range(50)]
    assert all(seconds is not None and seconds < 60 for seconds in found), found


def test_a_loss_that_both_arms_share_proves_nothing() -> None:
    assert sum(polled(seed, (0.05, 0.05)) is not None for seed in range(150)) <= 3
    assert sum(polled(seed, (0.0, 0.2)) is not None for seed in range(20)) == 0, "a loss of the baseline alone"


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50), st.integers(0, 500), st.integers(0, 50)), max_size=9)
)
def test_a_restart_changes_no_bit(polls: list[tuple[int, int, int, int]]) -> None:
    one, two, total = Completeness(0.01), Completeness(0.01), [0, 0, 0, 0]
    for second, more in enumerate(polls):
        total = [kept + each for kept, each in zip(total, more, strict=True)]
        pairs = [(total[0] + total[1], total[1]), (total[2] + total[3], total[3])]
        one.counted(pairs, second * 7.0)
        two.counted(pairs, second * 7.0)
        two = Completeness.from_json(json.loads(json.dumps(two.to_json())))
    assert json.dumps(one.to_json()) == json.dumps(two.to_json())
    first, second_look = one.look(), two.look()
    assert (first is None) == (second_look is None)
    assert first is None or first.to_json() == second_look.to_json()  # type: ignore[union-attr]


def test_a_stage_rolls_back_what_its_gates_can_not_see() -> None:
    stage = StageGates.start([ERROR], alpha=0.05, split=0.25, started_s=100.0, counts=True)
    assert stage.gates[0].alpha == 0.05 * 0.9
    rng = np.random.default_rng(1)
    batch = Outcomes(
        np.linspace(100, 400, 8000), rng.integers(0, 2**63, 8000).astype(np.uint64), rng.random(8000) < 0.25,
        {"error": np.zeros(8000)},
    )  # fmt: skip
    stage.observe(batch)
    assert stage.look(400.0).verdict is Verdict.ADVANCE
    stage.counted([(2200, 2000, 2210, 2000), (6000, 6000, 6010, 6000)], 400.0)
    stage = StageGates.from_json(json.loads(json.dumps(stage.to_json())))
    found = stage.look(400.0)
    assert found.verdict is Verdict.ROLL_BACK
    assert found.evidences[-1].metric == METRIC
    assert "9.00 % of 2,200 requests of the new release have none" in found.sentence


def test_a_request_without_an_outcome_is_a_failure_in_every_rate() -> None:
    stage = StageGates.start(EVERY_KIND, alpha=0.05, split=0.5, started_s=0.0)
    rng = np.random.default_rng(2)
    n = 4000
    arm = rng.random(n) < 0.5
    lost = arm & (rng.random(n) < 0.1)
    fields = ("violation", "latency_s", "satisfaction", "cost_usd")
    values = {name: np.where(lost, np.nan, rng.random(n) * 0.01) for name in fields}
    units = np.arange(n).astype(np.uint64)
    stage.observe(Outcomes(np.linspace(0, 100, n), units, arm, values, lost=lost))
    found = {spec.kind: each for spec, each in zip(EVERY_KIND, stage.look(100.0).evidences, strict=True)}
    assert found[MetricKind.RATE].verdict is Verdict.ROLL_BACK
    assert found[MetricKind.SLO].verdict is Verdict.ROLL_BACK
    assert found[MetricKind.RATE].n_candidate == arm.sum()
    assert found[MetricKind.MEAN].n_candidate == found[MetricKind.COST].n_candidate == (arm & ~lost).sum()
