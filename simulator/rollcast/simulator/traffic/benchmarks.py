"""Records of single requests as load generators write them, with what each took.

| form | written by | described in |
|---|---|---|
| `input_lens`, `ttfts`, `itls`, `start_times`: one object, a list for each | vLLM's `bench serve --save-detailed`, SGLang's `bench_serving --output-details` | https://docs.vllm.ai/en/latest/benchmarking/cli/, https://docs.sglang.ai/developer_guide/bench_serving.html |
| `benchmarks`, each with `requests` | guidellm | https://github.com/vllm-project/guidellm |
| a list of `start_time`, `end_time`, `info` | inference-perf's per_request_lifecycle_metrics.json | https://github.com/kubernetes-sigs/inference-perf |
| `metadata`, `metrics` | AIPerf's profile_export.jsonl | https://docs.nvidia.com/aiperf/tutorials/metrics-analysis/working-with-profile-export-files |
| `input_toks`, `arrival_time`, `first_token_ts` | LLMServingSim's bench | https://github.com/casys-kaist/LLMServingSim |

A request that failed keeps its arrival and its tokens, and has no latency.
"""  # noqa: E501 - a table

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollcast.simulator.base.errors import TrafficError
from rollcast.simulator.traffic.fields import REMEDY, UNITS_S, key, number, timestamp_s, tokens

Placed = Iterable[tuple[str, Mapping[str, Any]]]
_NAN = float("nan")


@dataclass(frozen=True)
class Recorded:
    """One request. Seconds; latency and first token since arrival, NaN where there is none."""

    place: str
    arrival_s: float
    input_tokens: int
    output_tokens: int
    latency_s: float
    first_token_s: float
    key: str = ""
    failed: bool = False


def reader_of(names: Iterable[str]) -> Callable[[Placed], Iterator[Recorded]] | None:
    """What reads records whose first one has fields of these names; None where they are of no form here."""
    known = set(names)
    return next((reader for fields, reader in _FORMS if fields <= known), None)


def _bench_serving(records: Placed) -> Iterator[Recorded]:
    for place, record in records:
        if "start_times" not in record:
            raise TrafficError(
                f"{place}: no 'start_times', so nothing says when each request arrived. Write them with vLLM's "
                "`bench serve --save-detailed`, or give several runs' summaries to `rollcast calibrate`."
            )
        columns = [_listed(record, name, place) for name in ("start_times", "input_lens", "output_lens", "ttfts")]
        errors = record.get("errors") or [""] * len(columns[0])
        itls = _listed(record, "itls", place)
        if len({len(column) for column in (*columns, itls, errors)}) != 1:
            raise TrafficError(f"{place}: its lists are of different lengths. {REMEDY}")
        for i, (start, given, made, first, gaps, error) in enumerate(zip(*columns, itls, errors, strict=True)):
            where = f"{place}, request {i + 1}"
            first_s = number(first, where, "a time to first token")
            failed = bool(error) or first_s == 0
            latency_s = first_s + sum(number(gap, where, "a time between tokens") for gap in gaps)
            yield _recorded(where, timestamp_s(start, where, "s"), given, made, latency_s, first_s, failed)


def _listed(record: Mapping[str, Any], name: str, place: str) -> Sequence[Any]:
    value = record.get(name)
    if not isinstance(value, list):
        raise TrafficError(f"{place}: '{name}' is no list. Save the run with its details (--save-detailed).")
    return value


def _guidellm(records: Placed) -> Iterator[Recorded]:
    for place, record in records:
        for number_, benchmark in enumerate(record["benchmarks"], 1):
            for how in ("successful", "incomplete", "errored"):
                for i, request in enumerate(benchmark.get("requests", {}).get(how) or (), 1):
                    where = f"{place}, benchmark {number_}, {how} request {i}"
                    recorded = _guidellm_request(where, request, how != "successful")
                    if recorded is not None:
                        yield recorded


def _guidellm_request(place: str, request: Mapping[str, Any], failed: bool) -> Recorded | None:
    timings = (request.get("info") or {}).get("timings") or request
    start = timings.get("request_start", timings.get("start_time"))
    if start is None:  # it was never sent
        return None
    end = timings.get("last_iteration") or timings.get("request_end") or timings.get("end_time")
    first = timings.get("first_iteration") or timings.get("first_token_time")
    start_s = timestamp_s(start, place, "s")
    given, made = (
        request.get(f"{side}_tokens") or (request.get(f"{side}_metrics") or {}).get("text_tokens") or 0
        for side in ("input", "output")
    )
    given = given or request.get("prompt_tokens") or 0
    return _recorded(place, start_s, given, made, _since(start_s, end, place), _since(start_s, first, place), failed)


def _inference_perf(records: Placed) -> Iterator[Recorded]:
    for place, record in records:
        start_s, info = timestamp_s(record["start_time"], place, "s"), record.get("info") or {}
        times = info.get("output_token_times") or []
        first = times[0] if times else None
        yield _recorded(
            place, start_s, info.get("input_tokens") or 0, info.get("output_tokens") or 0,
            _since(start_s, record["end_time"], place), _since(start_s, first, place), bool(record.get("error")),
        )  # fmt: skip


def _aiperf(records: Placed) -> Iterator[Recorded]:
    for place, record in records:
        about, metrics = record["metadata"], record["metrics"]
        if about.get("benchmark_phase") == "warmup":
            continue
        start_s = timestamp_s(about["request_start_ns"], place, "ns")
        failed = bool(record.get("error")) or bool(about.get("was_cancelled"))
        yield _recorded(
            place, start_s, _metric(metrics, "input_sequence_length", place, 1.0),
            _metric(metrics, "output_sequence_length", place, 1.0),
            _metric(metrics, "request_latency", place, 1e-3, _NAN),
            _metric(metrics, "time_to_first_token", place, 1e-3, _NAN), failed,
            key(about.get("conversation_id") or about.get("x_correlation_id"), place),
        )  # fmt: skip


def _metric(metrics: Mapping[str, Any], name: str, place: str, scale: float, absent: float = 0.0) -> float:
    """A metric in seconds, or as it is; `scale` is that of one that says no unit."""
    value = metrics.get(name)
    if value is None:
        return absent
    if isinstance(value, Mapping):
        scale = UNITS_S.get(value.get("unit", ""), scale)
        value = value.get("value")
    return number(value, place) * scale


def _serving_sim(records: Placed) -> Iterator[Recorded]:
    """Arrivals are of the client's clock, the rest of the engine's: nothing is queued before it has come."""
    listed = list(records)
    names = ("arrival_time", "queued_ts", "first_token_ts", "last_token_ts")
    times = [tuple(timestamp_s(record[name], place, "s") for name in names) for place, record in listed]
    apart = min(queued - arrival for arrival, queued, _, _ in times)
    for (place, record), (arrival, _, first, last) in zip(listed, times, strict=True):
        yield _recorded(
            place, arrival, record["input_toks"], record["output_toks"], last - apart - arrival,
            first - apart - arrival, False,
        )  # fmt: skip


def _since(start_s: float, moment: Any, place: str) -> float:
    if moment is None:
        return _NAN
    at_s = timestamp_s(moment, place, "s")
    if at_s < start_s:
        raise TrafficError(f"{place}: it ends before it starts. {REMEDY}")
    return at_s - start_s


def _recorded(
    place: str, arrival_s: float, given: Any, made: Any, latency_s: float, first_s: float, failed: bool, user: str = ""
) -> Recorded:
    if failed:
        latency_s = first_s = _NAN
    return Recorded(place, arrival_s, tokens(given, place), tokens(made, place), latency_s, first_s, user, failed)


_FORMS: tuple[tuple[frozenset[str], Callable[[Placed], Iterator[Recorded]]], ...] = (
    (frozenset({"input_lens", "output_lens", "ttfts", "itls"}), _bench_serving),
    (frozenset({"benchmarks"}), _guidellm),
    (frozenset({"start_time", "end_time", "info"}), _inference_perf),
    (frozenset({"metadata", "metrics"}), _aiperf),
    (frozenset({"input_toks", "output_toks", "arrival_time", "first_token_ts"}), _serving_sim),
)
