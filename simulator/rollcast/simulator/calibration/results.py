"""Result files of serving benchmarks: vLLM's `bench serve --save-result` and genai-perf's export.

Neither says when each request arrived, so what can be fitted is the step of a batch in a steady state: with N
requests under way, a token takes base + N x (sequence + kv x tokens held + prefill x prompt tokens per answer token),
and a first token the overhead, half a step, and its own prompt. Files of different concurrency separate these.

A token's time is the time per output token: under speculative decoding one step gives several tokens, and the latency
between two chunks, which benchmarks call inter-token latency, is that of a step. A run of which many requests failed
measured another load than it was given, so it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.stations.profiles import LlmProfile, StepTime
from rollcast.simulator.traffic.benchmarks import reader_of

MOST_FAILED = 0.1  # of all requests: over it, what succeeded says little about the load that was requested
ONE_LEVEL = 1.25  # concurrencies within this ratio are one: their steps differ by less than benchmarks do between runs


@dataclass(frozen=True)
class BenchmarkLevel:
    """One benchmark: means at one concurrency."""

    source: str
    concurrency: float
    input_tokens: float
    output_tokens: float
    first_token_s: float
    between_s: float


@dataclass(frozen=True)
class BenchmarkFit:
    """A profile from benchmarks, its errors at each of them, and the concurrency that was measured."""

    profile: LlmProfile
    errors: Mapping[str, float]
    concurrency: tuple[float, float]


def read_point(path: Path) -> BenchmarkLevel:
    """One result file. Raises SimulatorError naming the file and what is missing."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SimulatorError(f"There is no {path}. Name the result file of a benchmark.") from None
    except (ValueError, OSError) as error:
        raise SimulatorError(f"{path} is no result file ({error}). Name one of vLLM's or genai-perf's.") from None
    if not isinstance(data, dict):
        raise SimulatorError(f"{path} is no result file: it holds no object. Name one of vLLM's or genai-perf's.")
    try:
        return _vllm(path.name, data) if "mean_ttft_ms" in data or "ttfts" in data else _genai_perf(path.name, data)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        text = f"{path} lacks what a fit needs ({error!r}). Save it with --save-result, or take genai-perf's export."
        raise SimulatorError(text) from None


def is_result(path: Path) -> bool:
    """Whether a file is one benchmark's summary rather than the records of its requests."""
    if path.suffix != ".json":
        return False
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError):
        return True  # reading it says what is wrong
    return isinstance(data, dict) and (reader_of(data) is None or ("ttfts" in data and "start_times" not in data))


def _vllm(source: str, data: Mapping[str, Any]) -> BenchmarkLevel:
    completed = float(data["completed"])
    _refuse_failed(source, completed, float(data.get("num_prompts") or completed + float(data.get("failed") or 0)))
    given, made = float(data["total_input_tokens"]) / completed, float(data["total_output_tokens"]) / completed
    between_s = float(data.get("mean_tpot_ms") or data["mean_itl_ms"]) / 1000
    first_s = float(data["mean_ttft_ms"]) / 1000
    limit = data.get("max_concurrency")
    # Little's law where the benchmark has set no limit.
    under_way = completed / float(data["duration"]) * (first_s + between_s * (made - 1))
    return BenchmarkLevel(source, min(float(limit), under_way) if limit else under_way, given, made, first_s, between_s)


def _refuse_failed(source: str, completed: float, requested: float) -> None:
    if completed < (1 - MOST_FAILED) * requested:
        raise SimulatorError(
            f"{source}: {requested - completed:g} of {requested:g} requests failed, so it measured another load than "
            "it was given. Run it again at a load that the server can serve."
        )


def _genai_perf(source: str, data: Mapping[str, Any]) -> BenchmarkLevel:
    def seconds(name: str) -> float:
        entry = data[name]
        return float(entry["avg"]) * {"ms": 1e-3, "us": 1e-6, "ns": 1e-9, "s": 1.0}[entry.get("unit", "ms")]

    given, made = float(data["input_sequence_length"]["avg"]), float(data["output_sequence_length"]["avg"])
    first_s, between_s = seconds("time_to_first_token"), seconds("inter_token_latency")
    stimulus = data.get("input_config", {}).get("perf_analyzer", {}).get("stimulus", {})
    under_way = stimulus.get("concurrency")
    if under_way is None:
        under_way = float(data["request_throughput"]["avg"]) * (first_s + between_s * (made - 1))
    return BenchmarkLevel(source, float(under_way), given, made, first_s, between_s)


def fit_benchmarks(points: Sequence[BenchmarkLevel], known: LlmProfile | None = None) -> BenchmarkFit:
    """The profile that a row of benchmarks describes. Raises SimulatorError where all have about one concurrency."""
    levels = sorted({round(point.concurrency, 3) for point in points})
    if not levels or levels[-1] < ONE_LEVEL * levels[0]:
        raise SimulatorError(
            "One concurrency can't separate the time of a step from that of a sequence. Give result files of at least "
            "two, for example --max-concurrency 1 and 32."
        )
    start = known or LlmProfile(step=StepTime(base_s=1e-3))
    n = np.array([min(point.concurrency, start.max_sequences) for point in points])
    given, made = (np.array([getattr(point, name) for point in points]) for name in ("input_tokens", "output_tokens"))
    between, first = (np.array([getattr(point, name) for point in points]) for name in ("between_s", "first_token_s"))
    one = np.ones(len(points))
    zero = 0 * one
    held = n * (given + made / 2)
    # Unknown: base, sequence, kv token, prefill token, overhead.
    rows = np.vstack([
        np.column_stack([one, n, held, n * given / made, zero]) / between[:, None],
        np.column_stack([1.5 * one, n / 2, held / 2, given * (1 + n / 2 / np.maximum(made, 1)), one]) / first[:, None],
    ])  # fmt: skip
    scale = np.maximum(np.sqrt((rows**2).mean(axis=0)), 1e-300)
    base, sequence, kv, prefill, overhead = nnls(rows / scale, np.ones(len(rows)))[0] / scale
    step = StepTime(
        base_s=max(base, 1e-6), prefill_token_s=prefill, decode_sequence_s=sequence, kv_token_s=kv
    )  # fmt: skip
    modelled = rows @ np.array([base, sequence, kv, prefill, overhead])
    names = [f"{p.source} inter-token latency" for p in points] + [f"{p.source} time to first token" for p in points]
    errors = {name: float(value) - 1 for name, value in zip(names, modelled, strict=True)}
    return BenchmarkFit(
        start.model_copy(update={"step": step, "overhead_s": float(overhead)}), errors, (levels[0], levels[-1])
    )
