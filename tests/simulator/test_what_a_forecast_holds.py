"""What a forecast must hold, each with its interval; what it rests on; and the world that it replays."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from rollcast.cli.main import main
from rollcast.cli.output.forecast import text_of
from rollcast.planner.base.wording import MOST_NAMES, some_of
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.simulator.calibration.alone import run, serve_alone, single
from rollcast.simulator.engines.compiled.engine import Compiled
from rollcast.simulator.engines.interface import Disturbances, Engine
from rollcast.simulator.engines.reference.world import Simulation
from rollcast.simulator.forecast.models import Forecast
from rollcast.simulator.forecast.simulate import detect, harms_of, simulate
from rollcast.simulator.replay.faults import parse_faults
from rollcast.simulator.stations.distributions import Distribution
from rollcast.simulator.stations.network import Network
from rollcast.simulator.stations.profiles import Cache, PoolProfile
from rollcast.simulator.traffic.formats import Rows
from rollcast.simulator.traffic.recording import Traffic, traffic_of
from tests.simulator.recorded import EXAMPLE

GOLDEN = Path(__file__).parent / "data"
ENGINES = (Simulation, Compiled)


def plan_with(before: str, after: str, *, to: str = "rollcast.yaml") -> Plan:
    """From what is released to a declaration, with the same words changed in both."""

    def declared(name: str):  # type: ignore[no-untyped-def]
        text = (EXAMPLE / name).read_text("utf-8")
        assert before in text
        return load(text.replace(before, after), name, lambda file: (EXAMPLE / file).read_text("utf-8"))

    return make_plan(declared(to), live_as_declared(declared("released.yaml")))


def arriving(*seconds: float, query: list[str] | None = None) -> Traffic:
    zeros = np.zeros(len(seconds), np.int64)
    return traffic_of(Rows(np.array(seconds), zeros, zeros, query=query), "made")


def made(kind: type[Simulation] | type[Compiled], network: Network, traffic: Traffic, faults: Disturbances) -> Engine:
    engine: Engine = kind(network, traffic, 1, faults)
    return engine


@pytest.fixture(scope="module")
def minute(azure_hour: Traffic) -> Traffic:
    return azure_hour.between(0.0, 60.0)


@pytest.fixture(scope="module")
def forecast(harmful_plan: Plan, minute: Traffic) -> Forecast:
    return simulate(harmful_plan, minute, runs=20, seed=3, workers=1, detect=20)


def test_harms_alone_are_caught_as_beside_the_runs(harmful_plan: Plan, minute: Traffic, forecast: Forecast) -> None:
    harms = harms_of(harmful_plan, minute)
    assert harms
    alone = detect(harmful_plan, minute, harms, 20, seed=3, workers=1)
    margin_twice = [
        each for each in forecast.detection if f"{each.metric}={each.regression:+g}@{each.component}" in harms
    ]
    assert list(alone) == margin_twice


def test_each_number_of_the_outcome_has_its_interval(forecast: Forecast) -> None:
    assert forecast.outcome_interval is not None
    assert forecast.duration_interval_s is not None
    assert forecast.exposure.requests_interval is not None
    assert forecast.exposure.users_interval is not None
    ends = forecast.ends_after_s
    assert [getattr(ends, end) is not None for end in ("promoted", "rolled_back", "held")] == [
        getattr(forecast.outcome, end) > 0 for end in ("promoted", "rolled_back", "held")
    ]


def test_latency_attainment_and_cost_stand_beside_no_rollout_for_each_audience_and_stage(forecast: Forecast) -> None:
    wanted = {"latency_p50_s", "latency_p95_s", "latency_p99_s", "slo_attainment", "cost_usd", "error_rate"}
    for audience in {metric.audience for metric in forecast.metrics}:
        found = {m.name: m for m in forecast.metrics if m.audience == audience}
        assert wanted <= set(found)
        assert all(found[name].baseline is not None and found[name].interval is not None for name in wanted)
    stage = next(stage for stage in forecast.stages if stage.exposed and stage.reached == 1.0)
    assert wanted <= {metric.name for metric in stage.metrics}
    assert all(metric.interval is not None for metric in stage.metrics if metric.name in wanted)
    assert None not in (stage.seconds_interval, stage.entered_interval_s, stage.exposed_interval)


def test_detection_and_head_room_have_intervals(forecast: Forecast) -> None:
    found = next(d for d in forecast.detection if d.probability == 1.0)
    assert None not in (found.probability_interval, found.seconds_interval, found.requests_interval)
    assert found.users_exposed is not None
    station = max(forecast.stations, key=lambda station: station.utilization)
    assert station.headroom == pytest.approx(1 / station.utilization)
    assert station.utilization_interval is not None


def test_few_runs_say_which_intervals_are_missing(harmful_plan: Plan, minute: Traffic) -> None:
    few = simulate(harmful_plan, minute, seed=3, detect=0)
    assert all(stage.seconds_interval is None for stage in few.stages)
    assert "stages, times, exposure and stations have none: that takes 20 runs" in text_of(few)


def test_an_objective_that_nobody_declared_is_the_timeout_and_said(forecast: Forecast) -> None:
    assert any("slo_attainment: no gate declares" in said and "2 s" in said for said in forecast.assumptions)


def test_no_evidence_is_a_wide_prior_and_text_and_json_say_so(minute: Traffic) -> None:
    plan = plan_with("{metric: violation_rate, margin: 0.05}", "{metric: hallucination_rate, margin: 0.05}")
    said = "hallucination_rate: no evaluation counts at all; a wide prior"
    found = simulate(plan, minute, runs=20, seed=1, workers=1, detect=0)
    assert said in text_of(found)
    assert said in json.dumps(found.to_json()["assumptions"])
    known = next(m for m in found.metrics if m.name == "hallucination_rate")
    assert known.interval is not None
    assert known.interval[1] - known.interval[0] > 0.001


def test_delayed_labels_decide_that_much_later(minute: Traffic) -> None:
    prompt, late = (
        simulate(
            plan_with("metric: violation_rate,", f"metric: violation_rate, label_delay_s: {delay},"),
            minute, seed=2, inject=["violation_rate=0.4@safety"], detect=0,
        )
        for delay in (0, 30)
    )  # fmt: skip
    assert prompt.outcome.rolled_back == late.outcome.rolled_back == 1.0
    assert late.duration_s.p50 >= prompt.duration_s.p50 + 25
    assert late.exposure.requests > prompt.exposure.requests


def test_a_change_in_place_says_what_happens_to_requests_meanwhile(minute: Traffic) -> None:
    plan = plan_with("upstream: [generator]}", "upstream: [generator], in_place: true}")
    assert any(operation.in_place for operation in plan.operations)
    said = next(s for s in simulate(plan, minute, seed=1, detect=0).assumptions if "in place" in s)
    assert said.startswith("safety changes in place: the old version answers until the new one is whole")
    assert "loses those requests besides" in said


@pytest.mark.parametrize("engine", ENGINES)
def test_prefetch_answers_what_is_most_frequent(engine: type[Simulation] | type[Compiled]) -> None:
    profile = PoolProfile(service_s=Distribution(mean=1.0), cache=Cache(entries=5, hit_s=0.25, prefetch=1))
    traffic = arriving(1.0, 5.0, 9.0, query=["a", "b", "a"])
    cold, warm = (made(engine, single(profile), traffic, Disturbances()) for _ in range(2))
    warm.prefetch(0, traffic.query[[1, 0]], 0.0)  # the most frequent come first; there is room for one
    assert run(cold, traffic).latency_s == pytest.approx([1.0, 1.0, 0.25])
    assert run(warm, traffic).latency_s == pytest.approx([1.0, 0.25, 0.25])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_lost_replica_is_back_after_the_fault_and_its_start(engine: type[Simulation] | type[Compiled]) -> None:
    network = single(PoolProfile(service_s=Distribution(mean=2.0), start_s=6.0), replicas=2)
    faults = parse_faults(["loss@alone:at=10s,for=4s,replicas=1"], network)
    traffic = arriving(0.0, 0.0, 15.0, 15.0, 30.0, 30.0)
    assert run(made(engine, network, traffic, faults), traffic).latency_s == pytest.approx([2, 2, 2, 4, 2, 2])
    lasting = arriving(0.0, *[10.5] * 10)  # the one replica serves until 20 s, then both
    done = np.sort(run(made(engine, network, lasting, faults), lasting).done_s)[1:]
    assert done == pytest.approx([12.5, 14.5, 16.5, 18.5, 20.5, 22, 22.5, 24, 24.5, 26])


@pytest.mark.parametrize("engine", ENGINES)
def test_an_overhead_takes_time_and_keeps_no_server_busy(engine: type[Simulation] | type[Compiled]) -> None:
    plain = PoolProfile(service_s=Distribution(mean=1.0))
    network = single(plain.model_copy(update={"overhead_s": 0.5}))
    found = made(engine, network, traffic := arriving(0.0, 0.0, 0.25), Disturbances())
    assert run(found, traffic).latency_s == pytest.approx([1.5, 2.5, 3.25])
    assert found.demand()[-1].busy_s == pytest.approx(3.0)


def test_an_overhead_of_a_component_reaches_the_forecast(minute: Traffic) -> None:
    artifacts = (EXAMPLE / "artifacts.yaml").read_text("utf-8")
    slower = artifacts.replace("{station: pool, concurrency: 2, service_s: {distribution: lognormal, mean: 0.0004,",
                               "{station: pool, overhead_s: 0.05, concurrency: 2, "
                               "service_s: {distribution: lognormal, mean: 0.0004,")  # fmt: skip
    assert slower != artifacts

    def latency(text: str) -> float:
        def declared(name: str):  # type: ignore[no-untyped-def]
            return load((EXAMPLE / name).read_text("utf-8"), name, lambda file: text)

        plan = make_plan(declared("rollcast.yaml"), live_as_declared(declared("released.yaml")))
        found = simulate(plan, minute, seed=1, detect=0)
        assert not any("/overhead" in station.component for station in found.stations)
        return next(m.baseline or 0.0 for m in found.metrics if m.name == "latency_p50_s")

    assert latency(slower) == pytest.approx(latency(artifacts) + 0.05, abs=1e-4)


# ---- what a person reads -------------------------------------------------------------------------


def agrees(name: str, text: str) -> None:
    """With a golden file; UPDATE_GOLDEN=1 writes it again."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


def test_the_text_of_a_forecast(forecast: Forecast) -> None:
    agrees("forecast.txt", text_of(forecast) + "\n")


def test_calibrate_tells_profile_errors_and_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = PoolProfile(service_s=Distribution(distribution="lognormal", mean=0.02, p95=0.03), overhead_s=0.005)
    arrival_s = np.cumsum(np.random.default_rng(1).exponential(0.04, 3000))
    zeros = np.zeros(len(arrival_s), np.int64)
    latency_s = serve_alone(truth, traffic_of(Rows(arrival_s, zeros, zeros), "made"), seed=9).latency_s
    path = tmp_path / "requests.jsonl"
    records = [
        {"time": 1e9 + at + took, "request": str(i), "key": "u", "latency_s": round(float(took), 6)}
        for i, (at, took) in enumerate(zip(arrival_s, latency_s, strict=True))
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    assert main(["calibrate", "--telemetry", str(path), "--out", str(tmp_path / "profile.yaml")]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == (tmp_path / "profile.yaml").read_text("utf-8").strip()
    agrees("calibrate.txt", captured.err)
    assert main(["calibrate", "--telemetry", str(path), "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["held_out"] is True
    assert max(abs(error) for error in report["errors"].values()) < 0.2
    assert report["profile"]["station"] == "pool"
    assert report["profile"]["overhead_s"] == pytest.approx(0.005, rel=0.5)


def test_of_many_names_an_assumption_lists_the_first_ones() -> None:
    names = [f"model-{number}@2" for number in range(MOST_NAMES + 300)]
    assert some_of(names[:MOST_NAMES]) == ", ".join(names[:MOST_NAMES])
    assert some_of(iter(names)).endswith(f"{names[MOST_NAMES - 1]} and 300 more")
