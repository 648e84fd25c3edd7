"""Profiles fitted to measurements forecast what they have not seen, and mistakes are said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.fit_llm import Fit, fit_llm
from rollcast.simulator.calibration.fit_pool import fit_pool
from rollcast.simulator.calibration.measured import Measured, quantile_errors
from rollcast.simulator.calibration.results import fit_benchmarks, read_point
from rollcast.simulator.stations.distributions import Distribution
from rollcast.simulator.stations.profiles import PoolProfile
from rollcast.simulator.traffic.formats import Rows
from rollcast.simulator.traffic.recording import Traffic, read_traffic, traffic_of
from tests.simulator.recorded import TRACE

DATA = Path(__file__).parent / "data"


def azure() -> tuple[Traffic, np.ndarray]:  # type: ignore[type-arg]
    traffic = read_traffic(TRACE)
    return traffic, np.genfromtxt(DATA / "azure_conv_reference_latency.csv", delimiter=",", names=True)


@pytest.fixture(scope="module")
def fitted() -> Fit:
    traffic, measured = azure()
    first_half = traffic.between(0.0, traffic.span_s / 2)
    n = len(first_half)
    return fit_llm([Measured.of(first_half, measured["ttft_s"][:n], measured["e2e_s"][:n])])


def test_the_first_half_of_an_hour_forecasts_the_second(fitted: Fit) -> None:
    traffic, measured = azure()
    second = traffic.between(traffic.span_s / 2, float("inf"))
    n = len(traffic) - len(second)
    served = serve_alone(fitted.profile, second)
    latency = quantile_errors("latency", served.latency_s, measured["e2e_s"][n:])
    first = quantile_errors("first", served.first_token_s, measured["ttft_s"][n:])
    assert max(map(abs, latency.values())) < 0.03
    assert max(map(abs, first.values())) < 0.05


def test_a_calibration_carries_over_to_long_prompts_and_short_answers_under_full_load(fitted: Fit) -> None:
    table = np.genfromtxt(DATA / "long_prompts_reference_latency.csv", delimiter=",", names=True)
    tokens = (table[name].astype(np.int64) for name in ("input_tokens", "output_tokens"))
    served = serve_alone(fitted.profile, traffic_of(Rows(table["arrival_s"], *tokens), "long prompts"))
    errors = quantile_errors("latency", served.latency_s, table["e2e_s"])
    errors |= quantile_errors("first", served.first_token_s, table["ttft_s"])
    assert max(map(abs, errors.values())) < 0.05


def test_a_pool_is_found_again_from_its_latencies() -> None:
    truth = PoolProfile(concurrency=3, service_s=Distribution(distribution="lognormal", mean=0.3, p95=0.8))
    arrival = np.cumsum(np.random.default_rng(1).exponential(0.13, 4000))
    zeros = np.zeros(len(arrival), np.int64)
    traffic = traffic_of(Rows(arrival, zeros, zeros), "made")
    fit = fit_pool(traffic, serve_alone(truth, traffic, seed=9).latency_s)
    assert fit.profile.concurrency == 3
    assert max(abs(fit.errors[f"latency p{q}"]) for q in (50, 90)) < 0.2


def test_benchmarks_of_two_concurrencies_give_a_step(tmp_path: Path) -> None:
    paths = []
    for n in (1, 8, 32):
        between_ms = 7.0 + 0.05 * n
        data = {
            "completed": 100, "duration": 100.0, "total_input_tokens": 50_000, "total_output_tokens": 20_000,
            "mean_ttft_ms": 30.0 + between_ms / 2, "mean_itl_ms": between_ms, "max_concurrency": n,
        }  # fmt: skip
        data["duration"] = 100 * (0.03 + 200 * between_ms / 1000) / n * 0.99
        paths.append(tmp_path / f"vllm-{n}.json")
        paths[-1].write_text(json.dumps(data), "utf-8")
    fit = fit_benchmarks([read_point(path) for path in paths])
    assert fit.profile.step.base_s == pytest.approx(0.007, rel=0.02)
    assert fit.concurrency == (1.0, 32.0)
    assert max(abs(e) for name, e in fit.errors.items() if "inter-token" in name) < 0.02


def test_genai_perf_exports_are_read(tmp_path: Path) -> None:
    entry = {"unit": "ms", "avg": 20.0}
    data = {
        "time_to_first_token": entry, "inter_token_latency": {"unit": "ms", "avg": 8.0},
        "input_sequence_length": {"avg": 500}, "output_sequence_length": {"avg": 100},
        "request_throughput": {"unit": "requests/sec", "avg": 4.0},
    }  # fmt: skip
    path = tmp_path / "profile_export_genai_perf.json"
    path.write_text(json.dumps(data), "utf-8")
    point = read_point(path)
    assert point.between_s == pytest.approx(0.008)
    assert point.concurrency == pytest.approx(4.0 * (0.02 + 0.008 * 99))


def test_one_concurrency_is_refused_with_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    data = {
        "completed": 10, "duration": 10.0, "total_input_tokens": 5000, "total_output_tokens": 1000,
        "mean_ttft_ms": 20.0, "mean_itl_ms": 8.0, "max_concurrency": 4,
    }  # fmt: skip
    path.write_text(json.dumps(data), "utf-8")
    with pytest.raises(SimulatorError, match="at least two"):
        fit_benchmarks([read_point(path)])


def _benchmark(path: Path, **changed: float) -> Path:
    data = {
        "completed": 100, "duration": 100.0, "total_input_tokens": 50_000, "total_output_tokens": 20_000,
        "mean_ttft_ms": 30.0, "mean_itl_ms": 24.0, "mean_tpot_ms": 8.0, "max_concurrency": 4,
    }  # fmt: skip
    path.write_text(json.dumps({**data, **changed}), "utf-8")
    return path


def test_a_token_takes_its_own_time_where_a_step_gives_several(tmp_path: Path) -> None:
    assert read_point(_benchmark(tmp_path / "speculative.json")).between_s == pytest.approx(0.008)


@pytest.mark.parametrize("changed", [{"num_prompts": 400}, {"failed": 12}])
def test_a_benchmark_of_which_many_requests_failed_is_refused(tmp_path: Path, changed: dict[str, float]) -> None:
    with pytest.raises(SimulatorError, match=r"failed\.json: .* requests failed"):
        read_point(_benchmark(tmp_path / "failed.json", **changed))


def test_two_runs_of_about_one_concurrency_are_one(tmp_path: Path) -> None:
    points = [read_point(_benchmark(tmp_path / f"{n}.json", max_concurrency=n)) for n in (4.0, 4.4)]
    with pytest.raises(SimulatorError, match="at least two"):
        fit_benchmarks(points)


def test_too_few_requests_are_refused() -> None:
    traffic, measured = azure()
    few = traffic.between(0.0, 20.0)
    with pytest.raises(SimulatorError, match="are the least"):
        fit_llm([Measured.of(few, measured["ttft_s"][: len(few)], measured["e2e_s"][: len(few)])])
