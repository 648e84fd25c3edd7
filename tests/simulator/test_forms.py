"""Every form of recorded traffic, and what is questioned or refused."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.simulator.base.errors import TrafficError
from rollcast.simulator.traffic.formats import Columns, read_rows
from rollcast.simulator.traffic.recording import read_traffic

MOONCAKE = Path(__file__).parent / "data" / "mooncake_first_400.jsonl"


def written(path: Path, lines: list[object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_the_mooncake_form_has_prefix_blocks() -> None:
    traffic = read_traffic(MOONCAKE)
    assert len(traffic) == 400
    assert traffic.block_tokens == 512
    assert traffic.blocks[: traffic.block_start[1]].tolist() == list(range(14))


def test_telemetry_arrives_its_latency_before_it_is_written(tmp_path: Path) -> None:
    record = {
        "time": 100.5, "request": "a", "key": "u", "latency_s": 0.5, "ttft_s": 0.2, "input_tokens": 3,
        "output_tokens": 4, "attributes": {"region": "eu"},
    }  # fmt: skip
    rows = read_rows(written(tmp_path / "requests.jsonl", [record, {**record, "time": 102.0}]))
    assert rows.arrival_s.tolist() == [100.0, 101.5]
    assert rows.first_token_s is not None
    traffic = read_traffic(tmp_path / "requests.jsonl")
    assert traffic.keys == ("u",)
    assert traffic.classes == ({"region": "eu"},)


def span(start: int, attributes: dict[str, object]) -> dict[str, object]:
    kinds = {int: "intValue", str: "stringValue", float: "doubleValue"}
    listed = [{"key": k, "value": {kinds[type(v)]: str(v) if isinstance(v, int) else v}} for k, v in attributes.items()]
    own = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 10**9), "attributes": listed, "traceId": "t"}
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": [own]}]}]}


def test_spans_with_token_usage_are_requests(tmp_path: Path) -> None:
    used = {"gen_ai.usage.input_tokens": 12, "gen_ai.usage.output_tokens": 5, "user.id": "ann"}
    path = written(tmp_path / "spans.jsonl", [span(10**18, used), span(10**18 + 10**9, {"http.method": "GET"})])
    traffic = read_traffic(path)
    assert (len(traffic), traffic.keys, int(traffic.input_tokens[0])) == (1, ("ann",), 12)


def test_mapped_columns_are_read_from_csv_json_lines_and_parquet(tmp_path: Path) -> None:
    table = {"ts": [3000, 1000, 2000], "who": ["a", "b", "a"], "in": [1, 2, 3], "region": ["eu", "us", "eu"]}
    columns = {"time": "ts", "key": "who", "input_tokens": "in", "attributes": "region", "unit": "ms"}
    frame = polars.DataFrame(table)
    frame.write_csv(tmp_path / "t.csv")
    frame.write_ndjson(tmp_path / "t.jsonl")
    frame.write_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.jsonl", "t.parquet"):
        traffic = read_traffic(tmp_path / name, columns=columns)
        assert traffic.arrival_s.tolist() == [0.0, 1.0, 2.0]
        assert traffic.input_tokens.tolist() == [2, 3, 1]
        assert [traffic.classes[i]["region"] for i in traffic.attributes] == ["us", "eu", "eu"]
        assert any("out of order" in said for said in traffic.assumptions)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"time": "tz"}, "there is no column 'tz'. Did you mean 'ts'?"),
        ({"tame": "ts"}, "names 'tame'. Did you mean 'time'?"),
        ({"key": "who"}, "has no 'time'"),
        ({"time": "ts", "unit": "hours"}, "is no unit of time"),
    ],
)
def test_a_mistaken_mapping_is_named(tmp_path: Path, columns: dict[str, str], said: str) -> None:
    (tmp_path / "t.csv").write_text("ts,who\n1,a\n2,b\n", "utf-8")
    with pytest.raises(TrafficError, match=re.escape(said)):
        read_traffic(tmp_path / "t.csv", columns=columns)


def test_a_suspicious_unit_is_a_question_and_may_be_declared(tmp_path: Path) -> None:
    lines = [{"timestamp": i, "input_length": 5, "output_length": 5} for i in range(100)]  # seconds, not milliseconds
    path = written(tmp_path / "m.jsonl", list(lines))
    path.write_text(path.read_text("utf-8").replace('"timestamp": ', '"timestamp": 0.'), "utf-8")
    with pytest.raises(TrafficError, match="suspicious: are its times in another unit"):
        read_traffic(path)
    assert len(read_traffic(path, columns={"unit": "s"})) == 100


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"timestamp": 1, "input_length": 5}', "no 'output_length'"),
        ('{"timestamp": 1, "input_length": 5, "output_length": -1}', "-1 tokens are not possible"),
        ('{"timestamp": 1, "input_length": 5, "output_length": 1.5}', "'1.5' is not a number of tokens"),
        ('{"timestamp": -4, "input_length": 5, "output_length": 1}', "-4 is not possible"),
        ('{"timestamp": NaN, "input_length": 5, "output_length": 1}', "not possible"),
        ('{"timestamp": 1, "input', "not JSON"),
        ("[1, 2]", "not an object"),
    ],
)
def test_a_corrupt_line_is_named_by_its_number(tmp_path: Path, line: str, said: str) -> None:
    good = '{"timestamp": 0, "input_length": 5, "output_length": 5}\n'
    (tmp_path / "m.jsonl").write_text(good + line + "\n", "utf-8")
    with pytest.raises(TrafficError, match=re.escape(said)) as caught:
        read_traffic(tmp_path / "m.jsonl")
    assert "m.jsonl:2" in str(caught.value)


def test_time_can_be_warped_and_cut() -> None:
    traffic = read_traffic(MOONCAKE)
    middle = traffic.span_s / 2
    warped = traffic.warped([(middle, 2.0)])
    assert warped.span_s == pytest.approx(middle + middle / 2)
    assert np.all(np.diff(warped.arrival_s) >= 0)
    part = traffic.between(10.0, 50.0)
    assert 0 < len(part) < len(traffic)
    assert float(part.arrival_s.max()) < 40.0
    assert part.blocks[part.block_start[0]] == traffic.blocks[traffic.block_start[len(traffic.between(0.0, 10.0))]]


def test_a_column_that_no_record_has_is_refused_with_the_nearest_right_one(tmp_path: Path) -> None:
    lines: list[object] = [{"ts": float(i), "user_id": f"u{i}", "tin": 1} for i in range(3)]
    path = written(tmp_path / "a.jsonl", lines)
    for wrong in ({"time": "ts", "key": "usr_id"}, {"time": "ts", "key": "user_id", "attributes": "usr_id"}):
        with pytest.raises(TrafficError, match=r"'usr_id'.*'user_id'"):
            read_traffic(path, columns=wrong)
    with pytest.raises(TrafficError, match=r"'tss'.*'ts'"):
        read_traffic(path, columns={"time": "tss"})
    some = written(tmp_path / "b.jsonl", [{"ts": 1.0}, {"ts": 2.0, "user_id": 7}])
    assert "7" in read_traffic(some, columns={"time": "ts", "key": "user_id"}).keys, "one record that has it is enough"


def test_requests_without_a_user_get_synthetic_ones_and_that_is_said(tmp_path: Path) -> None:
    record = {"time": 100.0, "request": "a", "latency_s": 0.1}
    nobody = read_traffic(
        written(tmp_path / "a.jsonl", [{**record, "key": None}] * 30 + [record, {**record, "key": ""}])
    )
    assert len(set(nobody.key.tolist())) > 25
    assert any("no request carries a targeting key: users are synthetic" in said for said in nobody.assumptions)
    some = read_traffic(written(tmp_path / "b.jsonl", [{**record, "key": 7}] * 10 + [record] * 20))
    assert len(set(some.key.tolist())) > 15
    assert [some.keys[i] for i in some.key[:10]] == ["7"] * 10
    assert any("20 of 30 requests carry no targeting key" in said for said in some.assumptions)


def test_a_time_without_a_zone_in_telemetry_is_read_as_it_is_live(tmp_path: Path) -> None:
    record = {"request": "a", "key": "u", "latency_s": 0.5}
    times = ["1970-01-01T00:01:00", "1970-01-01T01:01:30+01:00"]
    rows = read_rows(written(tmp_path / "a.jsonl", [{**record, "time": at} for at in times]))
    assert rows.arrival_s.tolist() == [59.5, 89.5]


def test_long_prompts_in_a_csv_are_read(tmp_path: Path) -> None:
    path = tmp_path / "big.csv"
    path.write_text("ts,user,query\n" + "".join(f"{i},u{i},{'x' * (200_000 if i == 3 else 5)}\n" for i in range(6)))
    traffic = read_traffic(path, columns={"time": "ts", "key": "user", "query": "query"})
    assert len(traffic) == 6
    assert len(set(traffic.query.tolist())) == 2


def test_tabs_an_array_and_gzip_hold_the_same_requests(tmp_path: Path) -> None:
    mapped = {"time": "ts", "key": "user"}
    table = [{"ts": float(i), "user": i % 2} for i in range(4)]
    (tmp_path / "a.tsv").write_text("ts\tuser\n" + "".join(f"{row['ts']}\t{row['user']}\n" for row in table))
    (tmp_path / "a.json").write_text(json.dumps(table))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in table).encode()))
    for name in ("a.tsv", "a.json", "a.jsonl.gz"):
        traffic = read_traffic(tmp_path / name, columns=mapped)
        assert (traffic.arrival_s.tolist(), traffic.keys) == ([0.0, 1.0, 2.0, 3.0], ("0", "1")), name
    (tmp_path / "cut.gz").write_bytes((tmp_path / "a.jsonl.gz").read_bytes()[:-9])
    with pytest.raises(TrafficError, match="no whole gzip file"):
        read_traffic(tmp_path / "cut.gz", columns=mapped)


@pytest.mark.parametrize("content", ["", "\ufeff"])
def test_an_empty_file_or_a_byte_order_mark_alone_is_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content, "utf-8")
    with pytest.raises(TrafficError, match="is empty"):
        read_traffic(tmp_path / "a.csv")


TEXTS = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.integers(10**399, 10**400 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)
TELEMETRY = {"time": 100.0, "request": "a", "key": "u", "latency_s": 0.1, "input_tokens": 1, "attributes": {}}
MOON = {"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": [1]}


@given(
    st.sampled_from([TELEMETRY, MOON, span(10**18, {"gen_ai.usage.input_tokens": 12, "user.id": "ann"})]),
    st.dictionaries(
        st.sampled_from(["time", "key", "latency_s", "ttft_s", "attributes", "input_tokens", "timestamp", "hash_ids"])
        | TEXTS,
        VALUES,
        max_size=4,
    ),
    VALUES,
    st.booleans(),
)
def test_any_line_is_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory,
    form: dict[str, object],
    damage: dict[str, object],
    deep: object,
    array: bool,
) -> None:
    path = tmp_path_factory.mktemp("lines") / "t.jsonl"
    inner = {"resourceSpans": [{"scopeSpans": [{"spans": deep}]}]} if "resourceSpans" in form and deep else {}
    found = {**form, **damage, **inner}
    path.write_text(json.dumps([found] if array else found) + "\n", "utf-8")
    try:
        assert len(read_traffic(path)) == 1
    except TrafficError as error:
        str(error).encode()


@pytest.mark.parametrize("value", ["[" * 3000 + "]" * 3000, "9" * 400, "9" * 5000, '"\\ud800"', '"' + "x" * 5000 + '"'])
def test_poison_in_traffic_is_refused_by_name(tmp_path: Path, value: str) -> None:
    for name in ("time", "key", "latency_s", "x"):
        path = tmp_path / "t.jsonl"
        others = "".join(f', "{n}": 1' for n in ("time", "request", "latency_s") if n != name)
        path.write_text(f'{{"{name}": {value}{others}}}\n')
        try:
            read_traffic(path)
            continue
        except TrafficError as error:
            said = str(error)
        assert str(path) in said


# ---- what load generators write --------------------------------------------------------------------


def took(path: Path) -> list[tuple[float, int, int, float | None, float | None]]:
    """Arrival, tokens, latency and first token of each request, None where it has none."""
    rows = read_rows(path)
    assert rows.latency_s is not None
    assert rows.first_token_s is not None
    table = zip(
        (rows.arrival_s - rows.arrival_s.min()).round(6).tolist(), rows.input_tokens.tolist(),
        rows.output_tokens.tolist(), rows.latency_s.round(6).tolist(), rows.first_token_s.round(6).tolist(),
        strict=True,
    )  # fmt: skip
    return [tuple(None if value != value else value for value in row) for row in table]  # type: ignore[misc]


def bench_serving(**changed: object) -> dict[str, object]:
    return {
        "completed": 2, "duration": 2.0, "mean_ttft_ms": 150.0, "input_lens": [10, 20, 5], "output_lens": [3, 2, 0],
        "ttfts": [0.1, 0.2, 0.0], "itls": [[0.01, 0.02], [0.05], []], "start_times": [7.0, 7.5, 8.0],
        "errors": ["", "", "timed out"], **changed,
    }  # fmt: skip


AIPERF = {
    "metadata": {"request_start_ns": 10**18, "benchmark_phase": "profiling", "conversation_id": "c"},
    "metrics": {
        "input_sequence_length": {"value": 10, "unit": "tokens"},
        "output_sequence_length": {"value": 3, "unit": "tokens"},
        "request_latency": {"value": 130.0, "unit": "ms"}, "time_to_first_token": {"value": 0.1, "unit": "s"},
    },
    "error": None,
}  # fmt: skip
TIMINGS = {"request_start": 7.0, "first_iteration": 7.1, "last_iteration": 7.13, "request_end": 7.2}
NEW_GUIDELLM = {
    "info": {"timings": TIMINGS},
    "input_metrics": {"text_tokens": 10},
    "output_metrics": {"text_tokens": 3},
}
OLD_GUIDELLM = {"start_time": 7.0, "end_time": 7.13, "first_token_time": 7.1, "prompt_tokens": 10, "output_tokens": 3}
PERF = {
    "start_time": 7.0, "end_time": 7.13, "request": "", "response": "", "error": None,
    "info": {"input_tokens": 10, "output_tokens": 3, "output_token_times": [7.1, 7.11, 7.13]},
}  # fmt: skip
SIM = {
    "request_id": "bench-0", "input_toks": 10, "output_toks": 3, "arrival_time": 1e9, "queued_ts": 7.0,
    "scheduled_ts": 7.01, "first_token_ts": 7.1, "last_token_ts": 7.13,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "written_as"),
    [
        ("aiperf.jsonl", AIPERF),
        ("guidellm.json", {"benchmarks": [{"requests": {"successful": [NEW_GUIDELLM], "errored": [{"info": {}}]}}]}),
        ("guidellm-old.json", {"benchmarks": [{"requests": {"successful": [OLD_GUIDELLM], "incomplete": None}}]}),
        ("per_request_lifecycle_metrics.json", [PERF]),
        ("serving-sim.jsonl", SIM),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_records_of_load_generators_are_requests_with_their_latencies(
    tmp_path: Path, name: str, written_as: object, indent: int | None
) -> None:
    if name.endswith("jsonl") and indent:
        indent = None
    (tmp_path / name).write_text(json.dumps(written_as, indent=indent), "utf-8")
    assert took(tmp_path / name) == [(0.0, 10, 3, 0.13, 0.1)]


@pytest.mark.parametrize("indent", [None, 4])
def test_a_detailed_benchmark_is_its_requests_and_failed_ones_have_no_latency(
    tmp_path: Path, indent: int | None
) -> None:
    path = tmp_path / "vllm.json"
    path.write_text(json.dumps(bench_serving(), indent=indent), "utf-8")
    assert took(path) == [(0.0, 10, 3, 0.13, 0.1), (0.5, 20, 2, 0.25, 0.2), (1.0, 5, 0, None, None)]
    assert read_rows(path).first_failed.endswith("request 3")


def test_a_benchmark_that_does_not_say_when_is_refused_with_the_remedy(tmp_path: Path) -> None:
    record = bench_serving()
    del record["start_times"]
    with pytest.raises(TrafficError, match=r"sglang\.jsonl:1: no 'start_times'.*--save-detailed"):
        read_rows(written(tmp_path / "sglang.jsonl", [record]))


def test_a_benchmark_whose_lists_differ_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrafficError, match="lists are of different lengths"):
        read_rows(written(tmp_path / "vllm.jsonl", [bench_serving(ttfts=[0.1])]))


def test_spans_of_vllm_have_a_time_to_first_token(tmp_path: Path) -> None:
    used = {
        "gen_ai.usage.prompt_tokens": 12, "gen_ai.usage.completion_tokens": 5,
        "gen_ai.latency.time_to_first_token": 0.25,
    }  # fmt: skip
    assert took(written(tmp_path / "spans.jsonl", [span(10**18, used)])) == [(0.0, 12, 5, 1.0, 0.25)]


def test_a_span_that_failed_has_no_latency(tmp_path: Path) -> None:
    failed = span(10**18, {"gen_ai.usage.input_tokens": 12})
    failed["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["status"] = {"code": 2}  # type: ignore[index]
    assert took(written(tmp_path / "spans.jsonl", [failed])) == [(0.0, 12, 0, None, None)]


def test_burst_gpt_and_both_azure_traces_are_known_by_their_columns(tmp_path: Path) -> None:
    burst = tmp_path / "burst.csv"
    burst.write_text(
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,GPT-4,47,18,65,API log\n", "utf-8"
    )
    traffic = read_traffic(burst)
    assert (traffic.input_tokens[0], traffic.classes) == (47, ({"Model": "GPT-4", "Log Type": "API log"},))
    azure = tmp_path / "azure.csv"
    azure.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,21,9\n", "utf-8")
    assert read_rows(azure).input_tokens.tolist() == [21]


def test_any_table_can_name_every_field(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("at,in,out,first,last,bad\n1,10,3,1.1,1.13,false\n2,20,2,,,yes\n", "utf-8")
    mapping = {"time": "at", "input_tokens": "in", "output_tokens": "out", "first_token_at": "first", "ends": "last"}
    rows = read_rows(path, Columns.of({**mapping, "failed": "bad", "unit": "s"}))
    assert rows.latency_s is not None
    assert rows.first_token_s is not None
    assert rows.latency_s[0] == pytest.approx(0.13)
    assert rows.first_token_s[0] == pytest.approx(0.1)
    assert np.isnan(rows.latency_s[1])
    assert rows.first_failed == f"{path}:3"


def test_a_request_that_ends_before_it_arrives_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("at,last\n1,2\n5,4\n", "utf-8")
    with pytest.raises(TrafficError, match=r"own\.csv:3: 'last' is before the request arrives"):
        read_rows(path, Columns.of({"time": "at", "ends": "last", "unit": "s"}))


@pytest.mark.parametrize("pair", [("latency", "ends"), ("first_token", "first_token_at")])
def test_two_columns_for_one_time_are_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(TrafficError, match="which say the same"):
        Columns.of({"time": "t", pair[0]: "a", pair[1]: "b"})
