"""The options of a forecast: regressions, faults, engines, workers; and that a gate catches what it must."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from rollcast.planner.plan.models import Plan
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.forecast import parallel
from rollcast.simulator.forecast.models import StationForecast
from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.forecast.summary import bare_requests, overloaded
from rollcast.simulator.traffic.recording import Traffic


@pytest.fixture(scope="module")
def minute(azure_hour: Traffic) -> Traffic:
    return azure_hour.between(0.0, 60.0)


def test_both_engines_give_the_same_forecast(harmful_plan: Plan, minute: Traffic) -> None:
    reference = simulate(harmful_plan, minute, seed=3, engine="simpy", detect=0)
    compiled = simulate(harmful_plan, minute, seed=3, engine="compiled", detect=0)
    assert reference.model_copy(update={"engine": "compiled"}) == compiled


@pytest.mark.slow
def test_the_number_of_workers_changes_nothing(harmful_plan: Plan, minute: Traffic) -> None:
    one, two = (simulate(harmful_plan, minute, runs=10, seed=5, workers=n, detect=2) for n in (1, 2))
    assert one == two


def test_an_injected_regression_is_rolled_back_by_its_gate(good_plan: Plan, minute: Traffic) -> None:
    forecast = simulate(good_plan, minute, runs=5, seed=2, inject=["violation_rate=0.3@safety"], detect=0)
    assert forecast.outcome.rolled_back == 1.0
    assert {reason.metric for reason in forecast.reasons} == {"violation_rate"}
    assert "injected: violation_rate=+0.3@safety" in forecast.assumptions


def test_an_injected_latency_shows_in_the_difference(good_plan: Plan, minute: Traffic) -> None:
    plain = simulate(good_plan, minute, seed=2, detect=0)
    slow = simulate(good_plan, minute, seed=2, inject=["latency_p95_s=0.005@index"], detect=0)
    before, after = (next(m for m in f.metrics if m.name == "latency_p95_s") for f in (plain, slow))
    assert before.baseline == pytest.approx(after.baseline, rel=0.05)
    assert (after.difference or 0.0) > (before.difference or 0.0) + 0.004


def test_a_fault_reaches_the_world_without_the_rollout_too(good_plan: Plan, minute: Traffic) -> None:
    forecast = simulate(good_plan, minute, seed=2, faults=["errors@generator:rate=0.5"], detect=0)
    errors = next(metric for metric in forecast.metrics if metric.name == "error_rate")
    assert errors.baseline is not None
    assert errors.baseline > 0.4


def test_larger_regressions_are_caught_more_often(harmful_plan: Plan, minute: Traffic) -> None:
    forecast = simulate(harmful_plan, minute, runs=2, seed=2, detect=12)
    found = sorted((d for d in forecast.detection if d.metric == "violation_rate"), key=lambda d: d.regression)
    assert [d.regression for d in found] == [0.05, 0.1]
    assert found[0].probability <= found[1].probability
    assert all(d.requests_exposed is not None and d.requests_exposed > 0 for d in found if d.probability > 0)


def test_a_station_that_can_not_keep_up_is_named(good_plan: Plan, minute: Traffic) -> None:
    rush = replace(minute, arrival_s=minute.arrival_s / 40, span_s=minute.span_s / 40)
    forecast = simulate(good_plan, rush, seed=2, faults=["slow@generator:factor=20"], detect=0)
    assert any(re.search(r"generator .* can't keep up since \d+ s", said) for said in forecast.warnings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"inject": ["violation_rate@safety"]}, "is no injection"),
        ({"inject": ["violence_rate=0.1@safety"]}, "Did you mean 'violation_rate'?"),
        ({"inject": ["violation_rate=0.1@safty"]}, "Did you mean 'safety'?"),
        ({"inject": ["violation_rate=0.1@generator.tools"]}, "does not change in this plan"),
        ({"faults": ["fire@index"]}, "is no fault"),
        ({"faults": ["loss@indx"]}, "Did you mean 'index'?"),
        ({"faults": ["loss@index:until=3"]}, "is no option of loss"),
        ({"faults": ["loss@index:at=soon"]}, "not a duration"),
        ({"engine": "ns3"}, "There is no engine 'ns3'"),
        ({"runs": 0}, "--runs"),
    ],
)
def test_a_mistaken_question_is_answered_with_its_remedy(
    good_plan: Plan, minute: Traffic, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SimulatorError, match=re.escape(said)):
        simulate(good_plan, minute, **settings)  # type: ignore[arg-type]


def test_ctrl_c_gives_the_runs_that_are_finished(harmful_plan: Plan, minute: Traffic) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    forecast = simulate(harmful_plan, minute, runs=5, seed=5, workers=1, progress=stop, detect=0)
    assert (forecast.interrupted, forecast.runs, forecast.runs_asked) == (True, 2, 5)


def test_ctrl_c_before_the_first_result_is_an_interruption() -> None:
    def broken(piece: int) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parallel.work(broken, range(3), 1, lambda done: None)


@pytest.mark.parametrize(
    ("busy", "behind_s", "batches", "expected"),
    [(1.0, None, True, False), (1.0, None, False, True), (0.5, 7.0, True, True), (0.5, None, False, False)],
)
def test_a_batch_that_is_always_at_work_is_not_overloaded(
    busy: float, behind_s: float | None, batches: bool, expected: bool
) -> None:
    station = StationForecast(
        station="s", component="generator", artifact="model@1", utilization=busy, requests=1.0, longest_queue=3.0,
        headroom=None, behind_since_s=behind_s,
    )  # fmt: skip
    assert overloaded(station, batches) is expected


def test_requests_without_tokens_are_named_where_an_llm_would_serve_them(minute: Traffic) -> None:
    bare = replace(minute, output_tokens=minute.output_tokens * (np.arange(len(minute)) > 2))
    (said,) = bare_requests(bare, {"generator"})
    assert said.startswith("3 of ")
    assert "--columns" in said
    assert list(bare_requests(bare, set())) == list(bare_requests(minute, {"generator"})) == []
