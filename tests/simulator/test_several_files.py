"""Traffic as people keep it: a file for each replica, packed in several ways, spans inside spans, users or none."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from rollcast.simulator.base.errors import TrafficError
from rollcast.simulator.traffic.recording import read_traffic
from rollcast.simulator.traffic.spans import requests_of

BEGAN = 1_760_000_000.0
TIMES = st.lists(st.integers(0, 3600), min_size=2, max_size=30, unique=True)


def telemetry(path: Path, times: list[float], user: str = "u") -> Path:
    lines = [
        {"time": BEGAN + at, "request": f"{path.stem}-{n}", "latency_s": 0.0, "key": f"{user}{n % 5}"}
        | {"input_tokens": 7, "output_tokens": 3}
        for n, at in enumerate(times)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


@given(TIMES, st.integers(2, 4), st.integers(0, 2**32))
def test_files_of_one_time_are_one_recording_however_its_requests_are_shared_out(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], replicas: int, seed: int
) -> None:
    folder, rng = tmp_path_factory.mktemp("replicas"), random.Random(seed)
    ends = [min(times), max(times)]  # every file spans the whole time, so that all overlap
    shares: list[list[float]] = [[float(at) for at in ends] for _ in range(replicas)]
    for at in times:
        rng.choice(shares).append(float(at))
    whole = read_traffic(telemetry(folder / "whole.jsonl", sorted(at for share in shares for at in share)))
    files = [telemetry(folder / f"replica-{n}.jsonl", share) for n, share in enumerate(shares)]
    merged = read_traffic(files)
    assert np.array_equal(merged.arrival_s, whole.arrival_s)
    assert merged.span_s == whole.span_s
    assert set(merged.keys) <= set(whole.keys) | {f"u{n}" for n in range(5)}
    assert any("merged by time" in said for said in merged.assumptions)


def test_files_of_different_times_are_played_one_after_another(tmp_path: Path) -> None:
    first = telemetry(tmp_path / "a.jsonl", [0.0, 10.0])
    later = telemetry(tmp_path / "b.jsonl", [90_000.0, 90_010.0])
    spliced = read_traffic([first, later])
    assert spliced.span_s < 100
    assert not any("merged" in said for said in spliced.assumptions)


def test_times_that_count_from_each_files_own_beginning_say_nothing_of_one_another(tmp_path: Path) -> None:
    for name in ("a", "b"):
        rows = "".join(f"{n},10,10\n" for n in range(5))
        (tmp_path / f"{name}.csv").write_text(f"time,input_tokens,output_tokens\n{rows}", "utf-8")
    both = read_traffic([tmp_path / "a.csv", tmp_path / "b.csv"], columns={"time": "time", "unit": "s"})
    assert len(both) == 10
    assert both.span_s > 9


@pytest.mark.parametrize("how", ["plain", "gzip", "zstd", "utf-16", "bom", "utf-16 zstd"])
def test_a_file_is_read_however_it_is_packed_and_encoded(tmp_path: Path, how: str) -> None:
    text = telemetry(tmp_path / "t.jsonl", [0.0, 1.0, 2.5]).read_text("utf-8")
    data = text.encode("utf-16" if "utf-16" in how else "utf-8-sig" if how == "bom" else "utf-8")
    packed = {"gzip": gzip.compress, "zstd": zstandard.compress}.get(how.split()[-1], bytes)(data)
    (tmp_path / "t.packed").write_bytes(packed)
    assert read_traffic(tmp_path / "t.packed").arrival_s.tolist() == [0.0, 1.0, 2.5]


def test_half_a_packed_file_is_one_sentence(tmp_path: Path) -> None:
    data = zstandard.compress(telemetry(tmp_path / "t.jsonl", [float(n) for n in range(500)]).read_bytes())
    (tmp_path / "t.zst").write_bytes(data[: len(data) // 2])
    with pytest.raises(TrafficError, match=r"t\.zst is no whole zstd file\. Compress it again"):
        read_traffic(tmp_path / "t.zst")


def test_users_may_be_required(tmp_path: Path) -> None:
    named = telemetry(tmp_path / "named.jsonl", [0.0, 1.0])
    assert len(read_traffic(named, users="required")) == 2
    (tmp_path / "nobody.csv").write_text("time,in,out\n0,1,1\n1,1,1\n", "utf-8")
    columns = {"time": "time", "input_tokens": "in", "output_tokens": "out", "unit": "s"}
    assert len(read_traffic(tmp_path / "nobody.csv", columns=columns)) == 2
    with pytest.raises(TrafficError, match=r"nobody\.csv: 2 of 2 requests carry no user.*--columns key=NAME"):
        read_traffic(tmp_path / "nobody.csv", columns=columns, users="required")


# ---- spans --------------------------------------------------------------------------------------

TREES = st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=15)


def exported(tree: list[tuple[int, bool]], trace: str) -> list[dict[str, Any]]:
    """Spans of one trace: each has an earlier one around it (the first has none), and asks a model or does not."""
    spans = []
    for n, (around, asks) in enumerate(tree):
        span = {
            "traceId": trace,
            "spanId": f"s{n}",
            "startTimeUnixNano": str(10**18),
            "endTimeUnixNano": str(10**18 + 5),
        }
        span |= {"parentSpanId": f"s{around % n}"} if n else {}
        usage = {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "9"}}
        spans.append(span | ({"attributes": [usage]} if asks else {}))
    return spans


def outermost(tree: list[tuple[int, bool]]) -> int:
    """How many ask a model with nothing around them that does."""
    above: list[bool] = []
    for n, (around, _) in enumerate(tree):
        parent = around % n if n else None
        above.append(parent is not None and (above[parent] or tree[parent][1]))
    return sum(asks and not over for (_, asks), over in zip(tree, above, strict=True))


@given(st.lists(TREES, min_size=1, max_size=4), st.randoms())
def test_a_request_is_the_outermost_span_that_asks_a_model(
    trees: list[list[tuple[int, bool]]], rng: random.Random
) -> None:
    """Whatever lies between, and in whatever order and lines the spans are exported."""
    spans = [span for n, tree in enumerate(trees) for span in exported(tree, f"t{n}")]
    rng.shuffle(spans)
    lines = [("f:1", {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}) for span in spans]
    found, inner = requests_of(lines)
    assert len(found) == sum(map(outermost, trees))
    assert len(found) + inner == sum(asks for tree in trees for _, asks in tree)


def test_spans_without_ids_are_requests_of_their_own() -> None:
    (span,) = exported([(0, True)], "t")
    bare = {name: value for name, value in span.items() if name not in ("spanId", "traceId")}
    found, inner = requests_of([("f:1", {"resourceSpans": [{"scopeSpans": [{"spans": [bare, bare]}]}]})])
    assert (len(found), inner) == (2, 0)
