"""Production requests as a dataset: a fair sample of each segment, users unknowable, ready for replay."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.cli.main import main
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.telemetry.jsonl import JsonLines, JsonLinesSettings
from rollcast.stacks.telemetry.recording import record_requests

SECRET = "a secret of the team's own"


def telemetry(folder: Path, requests: list[tuple[str, str, str]]) -> JsonLines:
    """(user, segment, e-mail) of each request, and a delayed judgement of the first."""
    rows: list[dict[str, Any]] = [
        {"time": 1000.0 + n, "request": f"req-{n}", "key": user, "release": "rel-1", "latency_s": 0.1,
         "input_tokens": n,
         "attributes": {"segment": segment, "email": mail, "region": "eu"}}
        for n, (user, segment, mail) in enumerate(requests)
    ]  # fmt: skip
    rows.append({"time": 9999.0, "label_for": "req-0", "violation_rate": 1})
    (folder / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return JsonLines(JsonLinesSettings(path="t.jsonl"), folder)


people = st.lists(
    st.tuples(st.sampled_from(["zoe", "bob", "eve"]), st.sampled_from(["agent", "customer"]), st.just("z@example.org")),
    min_size=1, max_size=40,
)  # fmt: skip


@given(people, st.integers(1, 10))
@settings(max_examples=60)
def test_each_segment_has_its_sample_and_nobody_can_be_found_again(
    requests: list[tuple[str, str, str]], most: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = telemetry(Path(folder), requests)
        rows = record_requests(source, attributes={"segment"}, per_segment=most, secret=SECRET)
        again = record_requests(source, attributes={"segment"}, per_segment=most, secret=SECRET)
        other = record_requests(source, attributes={"segment"}, per_segment=most)
    assert rows == again, "the same secret draws the same sample"
    count = Counter(segment for _, segment, _ in requests)
    assert Counter(row["attributes"]["segment"] for row in rows) == {name: min(most, n) for name, n in count.items()}
    text = json.dumps([rows, other])
    assert not any(name in text for name in ("zoe", "bob", "eve", "req-", "example.org", "region"))
    assert not {row["key"] for row in rows} & {row["key"] for row in other}, "another secret, other names"
    everyone = len({user for user, _, _ in requests})
    assert len({row["key"] for row in rows}) <= everyone
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)


def test_a_user_stays_one_user_and_a_late_judgement_joins_its_request(tmp_path: Path) -> None:
    source = telemetry(tmp_path, [("zoe", "agent", ""), ("bob", "agent", ""), ("zoe", "agent", "")])
    first, second, third = record_requests(source, attributes=(), secret=SECRET)
    assert first["key"] == third["key"] != second["key"]
    assert first["violation_rate"] == 1.0
    assert "violation_rate" not in second


def test_nothing_to_record_and_a_secret_that_hides_nothing_are_refused(tmp_path: Path) -> None:
    source = telemetry(tmp_path, [("zoe", "agent", "")])
    with pytest.raises(StackError, match="holds no request of that time"):
        record_requests(source, attributes=(), since_s=5000.0)
    with pytest.raises(StackError, match="less than 16 bytes"):
        record_requests(source, attributes=(), secret="short")


def test_what_is_recorded_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rollcast.yaml").write_text(
        "schema: rollcast/v1\npipeline: p\nartifacts: [{kind: model-weights, name: b, version: '1'}]\n"
        "components: {g: {artifact: b@1}}\naudiences: {eu: {any: [{region: eu}, {not: {plan: free}}]}}\n"
        "environments: {prod: {telemetry: {kind: jsonl, path: t.jsonl}}}\n",
        "utf-8",
    )
    telemetry(tmp_path, [("zoe", "agent", "")] * 60)
    out = tmp_path / "production.jsonl"
    assert main(["-C", str(tmp_path), "record", "--out", str(out)]) == 0
    assert "60 requests of 1 users, with plan, region, segment." in capsys.readouterr().out
    assert out.stat().st_mode & 0o077 == 0, "only its owner reads it"
    assert main(["-C", str(tmp_path), "simulate", "--traffic", str(out), "--runs", "1", "--format", "json"]) in (0, 3)
    assert json.loads(capsys.readouterr().out)["requests"] == 60
