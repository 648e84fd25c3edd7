"""Profiles fitted to measured GPUs: a half that was not seen, what the data leave open, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.fit_llm import fit_llm
from rollcast.simulator.calibration.hardware import priors_of
from rollcast.simulator.calibration.identify import said_of
from rollcast.simulator.calibration.measured import Measured
from rollcast.simulator.calibration.profiles import Calibration, calibrated
from rollcast.simulator.stations.profiles import LlmProfile, StepTime
from rollcast.simulator.traffic.formats import Rows
from rollcast.simulator.traffic.recording import Traffic, traffic_of

LLAMA = Path(__file__).parent / "data" / "vllm" / "rtxpro6000-llama-3.1-8b.jsonl"
KNOWN = LlmProfile(
    step=StepTime(base_s=1e-3), max_sequences=128, kv_tokens=530_000, prefix_caching=True, whole_prompt=True
)


@pytest.fixture(scope="module")
def found() -> Calibration:
    return calibrated([LLAMA], "auto", KNOWN, None, 1, priors_of("rtxpro6000", 8.03e9))


def test_half_of_a_recording_forecasts_the_other_half(found: Calibration) -> None:
    assert found.held_out
    latency = [abs(error) for name, error in found.errors.items() if name.startswith("latency")]
    first = [abs(error) for name, error in found.errors.items() if name.startswith("time to first")]
    assert max(latency) < 0.03
    assert max(first) < 0.08


def test_the_errors_are_those_of_the_very_profile_that_is_given(found: Calibration) -> None:
    lines = [json.loads(line) for line in LLAMA.read_text("utf-8").splitlines()]
    latency = np.array([line["latency_s"] for line in lines])
    served = serve_alone(LlmProfile.model_validate(found.plain()), _traffic(lines)).latency_s
    half = slice(len(lines) // 2, None)
    error = float(served[half].mean() / latency[half].mean()) - 1
    assert found.errors["latency mean"] == pytest.approx(error, abs=1e-9)


def _traffic(lines: list[dict[str, object]]) -> Traffic:
    rows = Rows(
        np.array([line["timestamp"] for line in lines], np.float64) / 1e3,
        np.array([line["input_length"] for line in lines], np.int64),
        np.array([line["output_length"] for line in lines], np.int64),
        blocks=[line["hash_ids"] for line in lines],  # type: ignore[misc]
        block_tokens=16,
    )
    return traffic_of(rows, "recorded")


def _made(given: int, made: int, rate: float, count: int = 80) -> Measured:
    """What a known server makes of requests of one length."""
    truth = LlmProfile(step=StepTime(weights_s=0.01, token_s=4e-5, base_s=0.002, kv_token_s=6e-8), overhead_s=0.02)
    arrival = np.cumsum(np.random.default_rng(3).exponential(1 / rate, count))
    traffic = traffic_of(Rows(arrival, np.full(count, given), np.full(count, made)), "made")
    served = serve_alone(truth, traffic)
    return Measured.of(traffic, served.first_token_s, served.latency_s)


def test_coefficients_that_one_load_and_one_length_leave_open_are_named() -> None:
    fit = fit_llm([_made(300, 40, 0.5)])
    said = "; ".join(fit.undetermined)
    assert "can't be separated" in said or "hardly move" in said
    assert "all prompts are about 300 tokens long" in said


def test_what_can_only_be_seen_as_a_sum_is_held_by_the_prior_whose_source_is_named() -> None:
    priors, logs = priors_of("h100", 8e9), np.log([0.01, 0.002, 0.03])

    def view(at: Floats) -> Floats:
        weights, base, overhead = np.exp(at)
        return np.log([weights + base, overhead, 2 * (weights + base) + overhead])

    said = said_of(("weights_s", "base_s", "overhead_s"), logs, view(logs), view, priors, "")
    assert len(said) == 2
    assert said[0].startswith("weights_s can't be separated from base_s")
    assert "nvidia.com" in said[0]


def test_an_unknown_accelerator_is_refused_with_the_nearest() -> None:
    with pytest.raises(SimulatorError, match="h100"):
        priors_of("h1000", 8e9)


def _failing(path: Path, failed: int) -> Path:
    lines = [json.loads(line) for line in LLAMA.read_text("utf-8").splitlines()]
    records = [
        {"time": 1e9 + line["timestamp"] / 1e3 + line["latency_s"], "request": str(i), "latency_s": line["latency_s"],
         "ttft_s": line["ttft_s"], "input_tokens": line["input_length"], "output_tokens": line["output_length"],
         "error": i < failed}
        for i, line in enumerate(lines)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return path


def test_a_recording_of_which_many_requests_failed_is_refused_with_file_and_row(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=r"failed\.jsonl: 40 of 300 requests failed.*failed\.jsonl:1"):
        calibrated([_failing(tmp_path / "failed.jsonl", 40)], "auto", KNOWN, None, 1)


def test_requests_without_tokens_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = _failing(tmp_path / "bare.jsonl", 0)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join(json.dumps({**line, "input_tokens": 0}) + "\n" for line in lines), "utf-8")
    with pytest.raises(SimulatorError, match=r"300 of 300 requests have no numbers of tokens.*--columns"):
        calibrated([path], "auto", KNOWN, None, 1)


def test_failed_requests_are_load_but_are_not_fitted(tmp_path: Path) -> None:
    measured = _made(300, 40, 2.0)
    latency = measured.latency_s.copy()
    latency[5] = np.nan
    assert int(Measured.of(measured.traffic, measured.first_token_s, latency).fitted.sum()) == 79
