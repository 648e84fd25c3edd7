"""Production requests as a dataset: a fair sample of each segment, users unknowable, ready for replay."""

from __future__ import annotations

import json
import re
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.cli.main import main
from rollcast.planner.declaration.models import Recording
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.telemetry.jsonl import JsonLines, JsonLinesSettings
from rollcast.stacks.telemetry.recording import record_requests
from rollcast.stacks.telemetry.redaction import redacted

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


def test_a_recording_calibrates_a_forecast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = telemetry(tmp_path, [(f"user-{n}", "agent", "") for n in range(500)])
    rows = record_requests(source, attributes=())
    out = tmp_path / "production.jsonl"
    out.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    assert main(["-C", str(tmp_path), "calibrate", "--telemetry", str(out), "--station", "pool"]) == 0
    assert "station: pool" in capsys.readouterr().out


# ---- texts --------------------------------------------------------------------------------------

TEXTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=1, max_size=20)
MASKING = """
import re

def mask(texts):
    print("what it prints is no answer")
    return {"question": re.sub("[^x]", "*", texts["question"])} if "question" in texts else None

def leak(texts):
    return {"key": "zoe"}

def fail(texts):
    raise ValueError(texts["question"])

def sleep(texts):
    import time
    time.sleep(60)
"""


def talk(folder: Path, questions: list[str]) -> None:
    rows = [
        {"time": 1000.0 + n, "request": f"req-{n}", "key": "zoe", "release": "rel-1", "question": question,
         "answer": "secret answer"}
        for n, question in enumerate(questions)
    ]  # fmt: skip
    (folder / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    (folder / "redaction.py").write_text(MASKING, "utf-8")


def recording(redact: Any, **more: Any) -> Recording:
    return Recording.model_validate({"texts": ["question"], "redact": redact, **more})


@given(TEXTS)
@settings(max_examples=10, deadline=None)
def test_texts_are_kept_as_their_redaction_gives_them_and_no_others(questions: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        talk(Path(folder), questions)
        source = JsonLines(JsonLinesSettings(path="t.jsonl"), Path(folder))
        redact = partial(redacted, recording=recording("redaction.py:mask"), project=Path(folder))
        rows = record_requests(source, attributes=(), secret=SECRET, redact=redact)
        bare = record_requests(source, attributes=(), secret=SECRET)
    masked = [re.sub("[^x]", "*", question) for question in questions]
    assert [row["texts"]["question"] for row in rows] == masked
    assert [{k: v for k, v in row.items() if k != "texts"} for row in rows] == bare
    assert "answer" not in json.dumps(rows)


@pytest.mark.parametrize(
    ("redact", "why"),
    [
        ("redaction.py:leak", "something else than declared texts in line 1"),
        ("redaction.py:fail", "ended with 1"),
        ("redaction.py:absent", "ended with 1"),
        ("redaction.py:sleep", "took more than 1 s"),
        ("../redaction.py:mask", "there is no"),
        (["no-such-program"], "can't be run"),
        (["echo", "{}"], "gave 1 lines for 2 requests"),
        (["python", "-c", "print('no'); print('json')"], "gave no JSON in line 1"),
    ],
)
def test_a_redaction_that_fails_leaves_nothing_and_repeats_no_text(tmp_path: Path, redact: Any, why: str) -> None:
    talk(tmp_path, ["a secret question", "another"])
    source = JsonLines(JsonLinesSettings(path="t.jsonl"), tmp_path)
    with pytest.raises(StackError, match=re.escape(why)) as raised:
        record_requests(
            source, attributes=(), redact=partial(redacted, recording=recording(redact, timeout="1s"), project=tmp_path)
        )
    assert "secret" not in str(raised.value)


def test_texts_are_recorded_only_where_it_is_declared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    talk(tmp_path, ["what is x", "x"])
    declared = (
        "schema: rollcast/v1\npipeline: p\nartifacts: [{kind: model-weights, name: b, version: '1'}]\n"
        "components: {g: {artifact: b@1}}\nenvironments: {prod: {telemetry: {kind: jsonl, path: t.jsonl}RECORDING}}\n"
    )
    (tmp_path / "rollcast.yaml").write_text(declared.replace("RECORDING", ""), "utf-8")
    out = tmp_path / "production.jsonl"
    assert main(["-C", str(tmp_path), "record", "--texts", "--out", str(out)]) == 1
    assert "'prod' allows no texts to be recorded" in capsys.readouterr().err
    assert not out.exists()
    program = ", recording: {texts: [question], redact: [python, redact.py]}"
    (tmp_path / "rollcast.yaml").write_text(declared.replace("RECORDING", program), "utf-8")
    (tmp_path / "redact.py").write_text("import sys\nfor line in sys.stdin: print(line.replace('what', '-').strip())\n")
    assert main(["-C", str(tmp_path), "record", "--out", str(out)]) == 0
    assert "what is" not in out.read_text("utf-8")
    assert main(["-C", str(tmp_path), "record", "--texts", "--out", str(out)]) == 0
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["texts"]["question"] for row in rows] == ["- is x", "x"]
