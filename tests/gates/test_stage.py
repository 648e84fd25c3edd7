"""A stage's verdict: no data is never a pass, broken evidence holds, harm comes first, error rates are divided."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.gates.outcomes import Guard, Outcomes, StageVerdict, Verdict
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates, allot_alpha
from tests.gates.streams import EVERY_KIND, MEAN, RATE, draw, outcomes, users


def start(specs: tuple[GateSpec, ...] = (RATE,), split: float = 0.5, min_sample: int = 1, **more: float) -> StageGates:
    return StageGates.start(specs, alpha=0.05, split=split, started_s=0.0, min_sample=min_sample, **more)


def guard(verdict: StageVerdict, name: str) -> Guard:
    return next(found for found in verdict.guards if found.name == name)


def failed(verdict: StageVerdict) -> set[str]:
    return {found.name for found in verdict.guards if not found.ok}


@given(
    specs=st.sets(st.sampled_from(EVERY_KIND), max_size=5),
    split=st.sampled_from([0.01, 0.5, 1.0]),
    now_s=st.floats(0, 1e6),
    arms=st.sampled_from(["none", "new release", "baseline"]),
)
def test_no_data_is_never_a_pass(specs: set[GateSpec], split: float, now_s: float, arms: str) -> None:
    gates = start(tuple(specs), split)
    if arms != "none":
        batch = draw(2000, every_s=0.01)
        gates.observe(batch.rows(batch.candidate == (arms == "new release")))
    verdict = gates.look(max(now_s, 20.0))
    enough = split == 1.0 and arms == "new release"
    assert verdict.verdict is not Verdict.ADVANCE or enough
    if arms != "none" and split == 1.0 and arms == "new release" and now_s < 100:
        assert verdict.verdict is Verdict.ADVANCE


def test_telemetry_that_never_came_holds() -> None:
    verdict = start().look(45.0)
    assert verdict.verdict is Verdict.HOLD
    assert verdict.sentence == "no telemetry since the stage began 45 s ago"


def test_telemetry_that_stopped_holds() -> None:
    gates = start(stale_s=120.0)
    gates.observe(draw(8000))
    assert gates.look(810.0).verdict is Verdict.ADVANCE
    stopped = gates.look(2000.0)
    assert stopped.verdict is Verdict.HOLD
    assert "it has stopped" in stopped.sentence


def test_telemetry_of_one_arm_that_stopped_holds() -> None:
    gates = start(stale_s=120.0)
    gates.observe(draw(8000))
    more = draw(8000, seed=4, start_s=800.0)
    gates.observe(more.rows(~more.candidate))
    verdict = gates.look(1600.0)
    assert "the last telemetry of the new release is" in guard(verdict, "telemetry").sentence
    assert verdict.verdict is Verdict.HOLD


def test_a_rare_arm_is_not_taken_for_stopped() -> None:
    gates = start((), split=0.01, stale_s=60.0)
    time_s = np.arange(0, 6000, 3.0)
    gates.observe(outcomes(time_s, np.arange(2000) % 100 == 0, {"violation": np.zeros(2000)}))
    assert guard(gates.look(6001.0), "telemetry").ok  # the last of the new release is 300 s old: one came every 300 s


def test_a_metric_that_no_record_has_holds() -> None:
    gates = start((RATE, MEAN))
    batch = draw(500)
    gates.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, {"violation": batch.values["violation"]}))
    verdict = gates.look(50.0)
    assert verdict.verdict is Verdict.HOLD
    assert verdict.sentence == "telemetry flows, but no record has 'satisfaction' for satisfaction"


def test_a_metric_that_only_one_arm_has_holds() -> None:
    gates = start((MEAN,))
    batch = draw(500)
    known = np.where(batch.candidate, np.nan, batch.values["satisfaction"])
    gates.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, {"satisfaction": known}))
    verdict = gates.look(50.0)
    assert verdict.verdict is Verdict.HOLD
    assert "no record of the new release has 'satisfaction'" in verdict.sentence


def test_outcomes_that_go_missing_in_one_arm_hold() -> None:
    gates = start((MEAN,))
    batch = draw(12_000, every_s=0.02)
    satisfied = batch.values["satisfaction"]
    known = np.where(batch.candidate & (satisfied < 0.7), np.nan, satisfied)  # the unhappy no longer answer
    gates.observe(Outcomes(batch.time_s, batch.unit, batch.candidate, {"satisfaction": known}))
    verdict = gates.look(240.0)
    assert verdict.verdict is Verdict.HOLD
    assert failed(verdict) == {"missing_outcomes"}


def test_a_split_that_is_not_the_declared_one_holds() -> None:
    gates = start(split=0.5)
    gates.observe(draw(3000, split=0.4))
    verdict = gates.look(300.0)
    assert verdict.verdict is Verdict.HOLD
    assert "the split is not the declared one" in verdict.sentence


def test_the_sample_ratio_test_rarely_errs_under_a_look_after_each_request() -> None:
    alarms = 0
    for seed in range(60):
        gates = start((), split=0.3)
        batch = draw(300, seed=seed, split=0.3)
        for row in range(300):
            gates.observe(batch.rows(slice(row, row + 1)))
            if not guard(gates.look(row * 0.1), "sample_ratio").ok:
                alarms += 1
                break
    assert alarms <= 1  # 0.06 are expected at most


def test_a_sample_ratio_is_of_users_and_not_of_requests() -> None:
    gates = start((), split=0.5)
    unit = np.concatenate([users(1000), np.repeat(users(1, 7), 3000)])  # one user of the new release sends 3,000
    candidate = np.concatenate([np.arange(1000) % 2 == 0, np.ones(3000, bool)])
    gates.observe(Outcomes(np.linspace(0, 100, 4000), unit, candidate, {}))
    assert guard(gates.look(101.0), "sample_ratio").ok


def test_a_user_on_a_release_that_nobody_was_to_reach_is_a_wrong_split() -> None:
    gates = start((), split=0.0)
    gates.observe(draw(100, split=0.01, seed=2))
    assert guard(gates.look(11.0), "sample_ratio").ok == (gates.guards.ratio.arms[0] == 0)
    assert gates.guards.ratio.arms[0] > 0


def test_harm_rolls_back_even_when_the_evidence_is_broken() -> None:
    gates = start(split=0.5)
    gates.observe(draw(6000, split=0.4, violation=(0.1, 0.02)))
    verdict = gates.look(5000.0)
    assert failed(verdict) >= {"sample_ratio", "telemetry"}
    assert verdict.verdict is Verdict.ROLL_BACK


def test_too_few_requests_go_on() -> None:
    gates = start((), split=1.0, min_sample=50)
    gates.observe(draw(49, split=1.0))
    verdict = gates.look(10.0)
    assert (verdict.verdict, verdict.sentence) == (Verdict.CONTINUE, "49 of 50 requests seen on the new release")
    gates.observe(draw(1, seed=3, split=1.0, start_s=5.0))
    assert gates.look(10.0).verdict is Verdict.ADVANCE


def test_too_few_users_in_an_arm_go_on() -> None:
    spec = GateSpec(metric="violation_rate", margin=0.5, min_samples=200)
    gates = start((spec,))
    gates.observe(draw(300))
    assert gates.gates[0].look(100.0).verdict is Verdict.CONTINUE
    gates.observe(draw(300, seed=5))
    assert gates.gates[0].look(100.0).verdict is Verdict.ADVANCE


def test_a_user_who_dominates_an_arm_holds_where_requests_are_the_unit() -> None:
    spec = GateSpec(metric="violation_rate", margin=0.05, unit="request")
    gates = start((spec,), split=0.02)
    batch = draw(20_000, split=0.02, every_s=0.01)
    unit = np.where(batch.candidate & (np.arange(20_000) % 2 == 0), np.uint64(7), batch.unit)
    gates.observe(Outcomes(batch.time_s, unit.astype(np.uint64), batch.candidate, dict(batch.values)))
    verdict = gates.look(200.0)
    assert "one user sends" in guard(verdict, "dominant_user").sentence
    assert "the requests of the new release" in guard(verdict, "dominant_user").sentence
    assert verdict.verdict is Verdict.HOLD
    usual = start((RATE,), split=0.02)
    usual.observe(Outcomes(batch.time_s, unit.astype(np.uint64), batch.candidate, dict(batch.values)))
    assert "dominant_user" not in {found.name for found in usual.look(200.0).guards}


def labelled(at_s: float, batch: Outcomes, values: np.ndarray) -> Outcomes:
    """Labels of a batch, later: they keep time, unit and arm of their requests."""
    return Outcomes(batch.time_s, batch.unit, batch.candidate, {"hallucination": values}, np.ones(len(batch), bool))


LABELLED = GateSpec(metric="hallucination_rate", margin=0.03, label_delay_s=600)  # type: ignore[arg-type]


def requests_only(batch: Outcomes) -> Outcomes:
    return Outcomes(batch.time_s, batch.unit, batch.candidate, {}, np.zeros(len(batch), bool))


def test_a_late_label_counts_for_the_arm_of_its_request_and_is_no_request_of_its_own() -> None:
    gates = start((LABELLED,), stale_s=1e6)
    batch = draw(4000)
    gates.observe(requests_only(batch))
    before = list(gates.guards.requests)
    gates.observe(labelled(900.0, batch, np.where(batch.candidate, 1.0, 0.0)))
    verdict = gates.look(1000.0)
    assert gates.guards.requests == before
    assert sum(gates.guards.ratio.arms) <= 4000
    (evidence,) = verdict.evidences
    assert (evidence.candidate_estimate, evidence.baseline_estimate) == (1.0, 0.0)
    assert verdict.verdict is Verdict.ROLL_BACK


def test_labels_that_can_not_have_come_yet_are_waited_for_and_not_missed() -> None:
    gates = start((LABELLED,), stale_s=1e6)
    gates.observe(requests_only(draw(4000)))
    early = gates.look(500.0)
    assert early.verdict is Verdict.CONTINUE
    assert "no data is never a pass" in early.sentence
    late = gates.look(700.0)
    assert late.verdict is Verdict.HOLD
    assert failed(late) == {"missing_metric"}


def test_quick_labels_prove_nothing_before_the_delay_is_over() -> None:
    gates = start((LABELLED,), stale_s=1e6)
    batch = draw(8000, every_s=0.05)
    gates.observe(requests_only(batch))
    gates.observe(labelled(401.0, batch, np.zeros(8000)))
    assert gates.look(599.0).verdict is Verdict.CONTINUE
    assert gates.look(601.0).verdict is Verdict.ADVANCE


def test_a_label_of_a_request_from_before_the_stage_belongs_to_another_comparison() -> None:
    gates = StageGates.start((LABELLED,), alpha=0.05, split=0.5, started_s=1000.0)
    batch = draw(500, start_s=900.0, every_s=1.0)
    gates.observe(labelled(1500.0, batch, np.ones(500)))
    assert sum(gates.gates[0].n) == 400


@given(st.floats(0.001, 0.2), st.integers(1, 12), st.integers(1, 8))
def test_false_rollbacks_of_all_stages_and_gates_together_stay_within_the_declared_rate(
    rate: float, stages: int, count: int
) -> None:
    specs = [GateSpec(metric="error_rate", margin=0.01)] * count
    gates = StageGates.start(specs, alpha=allot_alpha(rate, stages), split=0.5, started_s=0.0, advance_alpha=rate)
    assert stages * sum(gate.alpha for gate in gates.gates) == pytest.approx(rate)
    assert all(gate.advance_alpha == rate for gate in gates.gates)


def test_a_stage_without_gates_needs_telemetry_and_its_minimum_sample() -> None:
    gates = start((), split=0.5, min_sample=10)
    gates.observe(draw(300))
    verdict = gates.look(31.0)
    assert verdict.verdict is Verdict.ADVANCE
    assert verdict.sentence.startswith("no gates are declared; telemetry flows; ")


def test_at_one_hundred_per_cent_nothing_is_compared_and_that_is_said() -> None:
    gates = start((RATE,), split=1.0)
    gates.observe(draw(300, split=1.0))
    verdict = gates.look(31.0)
    assert verdict.verdict is Verdict.ADVANCE
    assert verdict.sentence.startswith("no concurrent baseline is left at 100 %")
