"""Margins that a stage can't detect are called out from the plan and recorded traffic."""

from __future__ import annotations

from rollcast.simulator.forecast.margins import power_of
from rollcast.simulator.traffic.recording import read_traffic
from tests.planner.test_rag_search_plan import EXAMPLE, example_plan

TRACE = EXAMPLE / "traffic" / "AzureLLMInferenceTrace_conv.csv"


def test_a_margin_beyond_the_traffic_of_its_stage_is_called_out() -> None:
    stages = power_of(example_plan(), read_traffic(TRACE))
    assert all(stage.beyond for stage in stages)
    assert "not the margin of 5.00 points" in stages[0].beyond[0].sentence


def test_with_twenty_times_the_traffic_every_margin_is_detected() -> None:
    stages = power_of(example_plan(), read_traffic(TRACE, scale=20))
    assert len(stages) == 8
    assert not any(stage.beyond for stage in stages)


def test_metrics_without_evaluation_counts_are_left_out() -> None:
    metrics = {gate.spec.metric for stage in power_of(example_plan(), read_traffic(TRACE)) for gate in stage.gates}
    assert metrics == {"error_rate", "violation_rate"}
