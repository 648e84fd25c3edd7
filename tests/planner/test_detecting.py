"""What each stage of a plan can detect, before its rollout begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcast.planner.gates.growth import Baseline
from rollcast.planner.gates.power import detectable
from rollcast.planner.gates.stage import StageGates
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.rollout.detection import ArrivalRate, StagePower, detect_by_stage
from rollcast.planner.rollout.state_machine import arms_of, counts_of, specs_of, stage_alpha

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"


@pytest.fixture(scope="module")
def plan() -> Plan:
    declared = [
        load((EXAMPLE / name).read_text("utf-8"), name, lambda file: (EXAMPLE / file).read_text("utf-8"))
        for name in ("rollcast.yaml", "released.yaml")
    ]
    return make_plan(declared[0], live_as_declared(declared[1]))


def power_of(plan: Plan, users_per_s: float) -> tuple[StagePower, ...]:
    metrics = {spec.metric for milestone in plan.milestones for spec in specs_of(plan, milestone)}
    baselines = {metric: Baseline(0.02, 0.1) for metric in metrics if not metric.endswith("_s")}
    compared = [arms for milestone in plan.milestones if (arms := arms_of(plan, milestone.index)) is not None]
    arrivals = {(arms.line, arms.audience): ArrivalRate(users_per_s, 3 * users_per_s) for arms in compared}
    return detect_by_stage(plan, arrivals, baselines)


def test_every_stage_that_compares_releases_is_listed(plan: Plan) -> None:
    compared = [
        milestone.index
        for milestone in plan.milestones
        if (arms := arms_of(plan, milestone.index)) is not None and arms.baseline and specs_of(plan, milestone)
    ]
    assert compared
    assert [stage.milestone for stage in power_of(plan, 1.0)] == compared


def test_margins_beyond_a_stage_are_called_out_and_more_traffic_covers_them(plan: Plan) -> None:
    few, many = power_of(plan, 1e-4), power_of(plan, 1e3)
    assert all(stage.beyond == stage.gates for stage in few)
    assert not any(stage.beyond for stage in many)
    assert any(stage.gates for stage in many)


def test_error_rates_are_those_that_the_rollout_spends(plan: Plan) -> None:
    for stage in power_of(plan, 50.0):
        milestone = plan.milestones[stage.milestone]
        arms = arms_of(plan, milestone.index)
        assert arms is not None
        error_rate = plan.lines[arms.line].rollout.error_rate
        live = StageGates.start(
            specs_of(plan, milestone), alpha=stage_alpha(plan, milestone), split=arms.split, started_s=0.0,
            counts=counts_of(plan), advance_alpha=error_rate,
        )  # fmt: skip
        for found in stage.gates:
            (gate,) = [gate for gate in live.gates if gate.spec == found.spec]
            assert found == detectable(
                gate.spec, split=gate.split, alpha=gate.alpha, advance_alpha=gate.advance_alpha, users_per_s=50.0,
                bake_max_s=milestone.bake_max_s, baseline=Baseline(0.02, 0.1),
            )  # fmt: skip


def test_an_audience_without_known_traffic_is_left_out(plan: Plan) -> None:
    assert detect_by_stage(plan, {}, {}) == ()
