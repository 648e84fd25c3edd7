"""A forecast of the shipped example, from recorded traffic through the real rollout and its gates."""

from __future__ import annotations

import json

from rollcast.planner.plan.models import Plan
from rollcast.simulator.forecast.models import Forecast
from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.traffic.recording import Traffic


def test_a_good_release_is_promoted(good_plan: Plan, azure_hour: Traffic) -> None:
    forecast = simulate(good_plan, azure_hour, seed=1)
    assert forecast.outcome.promoted == 1.0
    assert forecast.requests == 19_366
    assert {metric.name for metric in forecast.metrics} >= {"error_rate", "violation_rate", "latency_p95_s"}
    assert [stage.title for stage in forecast.stages] == [m.title for m in good_plan.milestones]


def test_a_forecast_survives_its_json_form(harmful_plan: Plan, azure_hour: Traffic) -> None:
    forecast = simulate(harmful_plan, azure_hour, seed=1)
    text = json.dumps(forecast.to_json(), allow_nan=False)
    assert Forecast.from_json(json.loads(text)).to_json() == forecast.to_json()


def test_the_same_arguments_give_the_same_forecast(harmful_plan: Plan, azure_hour: Traffic) -> None:
    assert simulate(harmful_plan, azure_hour, seed=4) == simulate(harmful_plan, azure_hour, seed=4)
