"""Telemetry: each request once, whatever order, repetition, rotation or damage its record comes in."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from rollcast.planner.declaration.models import Telemetry
from rollcast.planner.gates.outcomes import StageVerdict, Verdict
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.planner.gates.stage import StageGates
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Share
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import Track, releases_of
from rollcast.planner.rollout.state_machine import Arms, Reach, Rollout
from rollcast.planner.routing.split import Router
from rollcast.stacks.base.clock import Clock
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.rollout.evidence import Collector, Watch
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetryBatch, TelemetrySource, source_of
from rollcast.stacks.telemetry.guarded import Guarded
from rollcast.stacks.telemetry.records import request_of
from tests.stacks.servers import postgres, prometheus

NOW = time.time()


def record(number: int, release: str = "rel-new", **more: Any) -> dict[str, Any]:
    return {"time": NOW, "request": f"r{number}", "key": f"u{number}", "release": release, "error": False, **more}


def read_all(source: TelemetrySource, cursor: Cursor) -> tuple[list[RequestRecord], Cursor]:
    found: list[RequestRecord] = []
    while True:
        batch = source.read(cursor)
        found += batch.requests
        cursor = batch.cursor
        if not batch.more:
            return found, cursor


# ---- files ------------------------------------------------------------------------------------


@given(cuts=st.lists(st.integers(1, 400), max_size=12), numbers=st.lists(st.integers(0, 9), max_size=12))
def test_a_file_that_grows_in_any_pieces_is_read_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], numbers: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("telemetry")
    source = source_of(Telemetry(path="."), folder)
    content = "".join(json.dumps(record(number)) + "\n" for number in numbers).encode()
    cursor, found, start = source.end(), [], 0
    for cut in [*sorted(cuts), len(content)]:
        with (folder / "a.jsonl").open("ab") as file:
            file.write(content[start : max(cut, start)])
        start = max(cut, start)
        requests, cursor = read_all(source, json.loads(json.dumps(cursor)))
        found += requests
    assert [request.id for request in found] == [f"r{number}" for number in numbers]


def test_what_was_there_before_is_not_evidence(tmp_path: Path) -> None:
    source = source_of(Telemetry(path="."), tmp_path)
    (tmp_path / "a.jsonl").write_text(json.dumps(record(1)) + "\n" + json.dumps(record(2))[:20])
    cursor = source.end()
    with (tmp_path / "a.jsonl").open("a") as file:
        file.write(json.dumps(record(2))[20:] + "\n")
    assert [request.id for request in read_all(source, cursor)[0]] == ["r2"], "the half line is new once it is whole"


@pytest.mark.parametrize("how", ["truncated", "replaced", "another file"])
def test_rotation_loses_nothing_that_comes_afterwards(tmp_path: Path, how: str) -> None:
    source, path = source_of(Telemetry(path="."), tmp_path), tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(record(n)) + "\n" for n in range(3)))
    _, cursor = read_all(source, {})
    line = json.dumps(record(7)) + "\n"
    if how == "truncated":
        path.write_text(line)
    elif how == "replaced":
        path.rename(tmp_path / "a.old")
        path.write_text(line)
    else:
        (tmp_path / "b.jsonl").write_text(line)
    assert [request.id for request in read_all(source, cursor)[0]] == ["r7"]


HANDLED = st.sampled_from(["append", "rename", "copy and truncate", "replace by a copy", "replace by a longer copy"])


@given(st.lists(st.tuples(HANDLED, st.integers(1, 3), st.booleans()), max_size=12))
def test_however_a_file_is_rotated_or_copied_each_record_is_read_once(
    tmp_path_factory: pytest.TempPathFactory, course: list[tuple[str, int, bool]]
) -> None:
    """Renamed in its folder, copied and truncated, replaced by rsync: what was read is known, and nothing is lost.

    A file may be touched several times between two reads, but what is copied and truncated was read before.
    """
    folder = tmp_path_factory.mktemp("rotated")
    source, path, found, written = source_of(Telemetry(path="."), folder), folder / "a.jsonl", [], 0
    cursor = source.end()
    for turn, (how, more, reads) in enumerate(course):
        if path.exists() and how == "rename":
            path.rename(folder / f"b{turn}.jsonl")
        elif path.exists() and how == "copy and truncate":
            for step in (
                lambda: None,
                partial(shutil.copy, path, folder / f"c{turn}.jsonl"),
                partial(path.write_text, ""),
            ):
                step()
                requests, cursor = read_all(source, cursor)
                found += requests
        elif path.exists() and how.startswith("replace"):
            shutil.copy(path, folder / "a.new")
            os.replace(folder / "a.new", path)
        if how != "replace by a copy":
            with path.open("a") as file:
                for _ in range(more):
                    file.write(json.dumps(record(written)) + "\n")
                    written += 1
        if reads:
            requests, cursor = read_all(source, json.loads(json.dumps(cursor)))
            found += requests
    requests, cursor = read_all(source, cursor)
    found += requests
    assert sorted(int(request.id[1:]) for request in found) == list(range(written))


@given(st.binary(max_size=60))
def test_any_damage_is_counted_and_skipped(tmp_path_factory: pytest.TempPathFactory, damage: bytes) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    lines = [json.dumps(record(1)).encode(), damage.replace(b"\n", b" ").replace(b"\r", b" "), b"[1, 2]", b"null"]
    (folder / "a.jsonl").write_bytes(b"\n".join([*lines, json.dumps(record(2)).encode(), b""]))
    batch = source_of(Telemetry(path="."), folder).read({})
    assert [request.id for request in batch.requests if request.id in ("r1", "r2")] == ["r1", "r2"]
    assert batch.unreadable >= 2


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300, "fast", None, [1], {"s": 1}])
def test_an_absurd_latency_is_left_out_and_not_judged(value: Any) -> None:
    found = request_of(record(1, latency_s=value))
    assert found is not None
    assert "latency_s" not in found.values


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "yesterday", True, {}])
def test_a_record_without_a_time_is_no_telemetry(value: Any) -> None:
    assert request_of({**record(1), "time": value}) is None


# ---- evidence ---------------------------------------------------------------------------------

LINE = Track(id="default", pipeline="p", channel="default")
SERVING = {"default": (Share(line="default", percent=50.0, release="rel-new"),
                       Share(line="default", percent=50.0, release="rel-old"))}  # fmt: skip
ARMS = Arms("default", "everyone", "rel-new", "rel-old", 0.5)


def collector(**known: Any) -> Collector:
    made = Collector({}, Clock(**known))
    made._pipelines = {"rel-new": "p", "rel-old": "p"}
    made._expected = {"rel-new": {"index": "kb@2"}, "rel-old": {"index": "kb@1"}}
    return made


def watch(since_s: float = NOW - 10) -> Watch:
    return Watch(ARMS, {"p": Router("p", {"default": LINE}, SERVING, {})}, since_s)


def batch(*records: dict[str, Any]) -> TelemetryBatch:
    return TelemetryBatch([request for each in records if (request := request_of(each)) is not None])


@given(st.lists(st.tuples(st.integers(0, 15), st.booleans()), max_size=40), st.randoms(use_true_random=False))
def test_each_request_counts_once_in_any_order_and_number_of_copies(
    seen: list[tuple[int, bool]], luck: random.Random
) -> None:
    unique = {number: record(number, "rel-new" if new else "rel-old") for number, new in seen}
    copies = [unique[number] for number, _ in seen]
    luck.shuffle(copies)
    made, taken = collector(), [0, 0]
    for each in copies:
        outcomes = made.take(batch(each), watch())
        if outcomes is not None:
            taken[0] += int(outcomes.candidate.sum())
            taken[1] += int((~outcomes.candidate).sum())
    assert sum(taken) == len(unique)
    assert taken[0] == sum(each["release"] == "rel-new" for each in unique.values())
    assert made.tally.repeated == len(copies) - len(unique)


def test_a_late_record_of_before_the_stage_is_counted_and_is_no_evidence() -> None:
    made = collector()
    assert made.take(batch(record(1, time=NOW - 60)), watch(NOW - 10)) is None
    assert made.tally.total == {"rel-new": 1}
    assert made.tally.stage == {}


def test_a_record_from_the_future_is_absurd() -> None:
    made = collector()
    assert made.take(batch(record(1, time=NOW + 86_400)), watch()) is None
    assert made.tally.absurd == 1


def test_a_request_that_is_not_exactly_its_release_is_mixed() -> None:
    made = collector()
    made.take(batch(record(1, components={"index": "kb@2"}), record(2, components={"index": "kb@1"})), watch())
    assert made.tally.mixed == 1


def test_a_delayed_label_counts_for_the_request_and_the_user_that_it_belongs_to() -> None:
    made = collector()
    made.take(batch(record(1, "rel-old")), watch())
    label = {"time": NOW + 5, "label_for": "r1", "hallucination": True}
    outcomes = made.take(batch(label), watch())
    assert outcomes is not None
    assert outcomes.is_label is not None
    assert outcomes.is_label.tolist() == [True]
    assert outcomes.candidate.tolist() == [False]
    assert outcomes.values["hallucination"].tolist() == [1.0]
    assert made.take(batch({"time": NOW, "label_for": "unheard of", "hallucination": True}), watch()) is None


# ---- the clock --------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(-1e5, 1e5)), max_size=20))
def test_no_jump_of_the_machines_clock_turns_the_rollouts_clock_back_or_hurries_it(
    steps: list[tuple[float, float]],
) -> None:
    wall, monotonic = [1e9], [5.0]
    clock = Clock(wall=lambda: wall[0], monotonic=lambda: monotonic[0])
    passed = jumps = 0.0
    for ran, jump in steps:
        monotonic[0] += ran
        wall[0] += ran + jump
        passed += ran
        assert clock.now_s() == pytest.approx(passed)
        jumps += clock.jumped_s()
        assert clock.at(wall[0] + 5) <= clock.now_s()
    assert jumps == pytest.approx(sum(jump for _, jump in steps), abs=2.0 * len(steps) + 1e-6)


@given(st.floats(0, 1e6), st.floats(-1e6, 1e6))
def test_between_processes_the_clock_never_goes_back(base_s: float, away_s: float) -> None:
    back_s = 1e9 + away_s  # a wall clock resolves a tenth of a microsecond here
    clock = Clock(base_s, 1e9, wall=lambda: back_s, monotonic=lambda: 0.0)
    assert clock.now_s() == pytest.approx(base_s + max(0.0, back_s - 1e9))


# ---- SQL --------------------------------------------------------------------------------------

TABLE = (
    "CREATE TABLE telemetry (id {serial}, time DOUBLE PRECISION, request TEXT, key TEXT, release TEXT, "
    "components TEXT, error BOOLEAN, latency_s DOUBLE PRECISION)"
)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_table_is_read_like_a_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind == "sqlite":
        _read_a_table(f"sqlite:///{tmp_path}/t.db", "INTEGER PRIMARY KEY", monkeypatch)
    else:
        with postgres(tmp_path) as server:
            _read_a_table(server.database(), "BIGSERIAL PRIMARY KEY", monkeypatch)


def _read_a_table(url: str, serial: str, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = create_engine(url)
    monkeypatch.setenv("TELEMETRY_DB", url)
    columns = "time, request, key, release, components, error, latency_s"
    add = f"INSERT INTO telemetry ({columns}) VALUES (:t, :r, 'k', :l, :c, :e, :s)"
    with engine.begin() as connection:
        connection.execute(text(TABLE.format(serial=serial)))
        connection.execute(text(add), {"t": NOW, "r": "old", "l": "rel-1", "c": None, "e": False, "s": 0.1})
    source = source_of(Telemetry(kind="sql", url="${TELEMETRY_DB}", path="telemetry"), Path())
    cursor = source.end()
    with engine.begin() as connection:
        row = {"t": NOW, "r": "new", "l": "rel-2", "c": '{"index": "kb@2"}', "e": True, "s": 0.25}
        connection.execute(text(add), row)
        connection.execute(text(add), {**row, "r": None})
    batch = source.read(cursor)
    assert [request.id for request in batch.requests] == ["new"]
    assert batch.requests[0].components == {"index": "kb@2"}
    assert batch.requests[0].values == {"error": 1.0, "latency_s": 0.25}
    assert batch.unreadable == 1
    assert source.read(batch.cursor).requests == []
    assert source.find("old") is not None
    assert source.find("never") is None
    engine.dispose()


def test_a_missing_variable_or_database_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(StackError, match="NOT_SET isn't set"):
        source_of(Telemetry(kind="sql", url="${NOT_SET}", path="t"), Path())
    source = source_of(Telemetry(kind="sql", url="postgresql+psycopg://a:hunter2@127.0.0.1:1/x", path="t"), Path())
    with pytest.raises(StackError, match="can't be read") as caught:
        source.read({})
    assert "hunter2" not in str(caught.value)


# ---- Prometheus -------------------------------------------------------------------------------


class Exporter:
    """What a data plane exposes, with release labels."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = "".join(f"{name} {value}\n" for name, value in exporter.counts.items()).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    yield made
    made.close()


def _grown(source: TelemetrySource, cursor: Cursor, wanted: int) -> tuple[list[RequestRecord], Cursor]:
    """Reads until that many requests are known: the server scrapes in its own time."""
    found: list[RequestRecord] = []
    for _ in range(150):
        requests, cursor = read_all(source, cursor)
        found += requests
        if len(found) >= wanted:
            return found, cursor
        time.sleep(0.1)
    raise AssertionError(f"{len(found)} of {wanted} requests")


def test_counters_of_a_real_prometheus_become_outcomes_by_release(exporter: Exporter, tmp_path: Path) -> None:
    def count(release: str, requests: int, errors: int | None, fast: int) -> None:
        label = f'release="{release}",channel="default"'
        exporter.counts[f"rollcast_requests_total{{{label}}}"] = requests
        if errors is not None:
            exporter.counts[f"rollcast_error_total{{{label}}}"] = errors
        exporter.counts[f'rollcast_latency_s_bucket{{{label},le="0.1"}}'] = fast
        exporter.counts[f'rollcast_latency_s_bucket{{{label},le="+Inf"}}'] = requests

    count("rel-old", 1000, 10, 900)
    with prometheus(tmp_path, exporter.port) as url:
        source = source_of(Telemetry(kind="prometheus", url=url, path='{job="rag"}'), tmp_path)
        cursor = source.end()
        for _ in range(100):
            if cursor["values"]:
                break
            time.sleep(0.1)
            cursor = source.end()
        count("rel-old", 1100, 12, 990)
        count("rel-new", 50, None, 40)
        found, cursor = _grown(source, json.loads(json.dumps(cursor)), 150)
        old = [request for request in found if request.release == "rel-old"]
        new = [request for request in found if request.release == "rel-new"]
        assert (len(old), len(new)) == (100, 50)
        assert sum(request.values["error"] for request in old) == 2
        assert sum(request.values["error"] for request in new) == 0, "a counter that never counted is none, not missing"
        assert sum(request.values["latency_s"] <= 0.1 for request in new) == 40
        assert source.read(cursor).requests == []
        count("rel-new", 7, None, 7)  # the data plane restarted: its counter begins again
        assert len(_grown(source, cursor, 7)[0]) == 7
        with pytest.raises(StackError, match="not single requests"):
            source.find("r1")


def test_a_prometheus_out_of_reach_is_one_clear_error() -> None:
    source = source_of(Telemetry(kind="prometheus", url="http://127.0.0.1:1"), Path())
    with pytest.raises(StackError, match="Make it reachable"):
        source.read({})


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(StackError, match="jsonl, prometheus, sql"):
        source_of(Telemetry(kind="smoke-signals"), Path())


# ---- keys, times and what is left out ---------------------------------------------------------

TEXTS = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.integers(10**399, 10**400 - 1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)
FIELDS = ("time", "request", "key", "release", "channel", "components", "attributes", "label_for", "error", "latency_s")
ROUTED = Track(id="eu", pipeline="p", channel="eu", route={"region": ["eu"], "version": {"min_version": "2"}})


@given(st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES, max_size=6))
def test_any_line_is_read_or_counted_and_never_ends_us(
    tmp_path_factory: pytest.TempPathFactory, damage: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    text = json.dumps({**record(1), **damage})
    (folder / "a.jsonl").write_text(text + "\n" + json.dumps(record(2)) + "\n", "utf-8")
    found = source_of(Telemetry(path="."), folder).read({})
    assert len(found.requests) + found.unreadable == 2
    made = collector()
    router = Router("p", {"eu": ROUTED, "default": LINE}, SERVING, {})
    outcomes = made.take(found, Watch(ARMS, {"p": router}, NOW - 10))
    stage = StageGates.start([], alpha=0.05, split=0.5, started_s=-3600.0)
    if outcomes is not None:
        stage.observe(outcomes)
    stage.guards.received(2, made.tally.left_out)
    json.dumps([stage.to_json(), stage.look(1.0).to_json(), made.tally.to_json()], ensure_ascii=False).encode()


@pytest.mark.parametrize("line", [
    '{"time": 1, "request": "a", "x": ' + "[" * 3000 + "]" * 3000 + "}",
    '{"time": 1, "request": "a", "latency_s": ' + "9" * 400 + "}",
    '{"time": ' + "9" * 400 + ', "request": "a"}',
    '{"time": 1, "request": "a", "key": "\\ud800"}',
    '{"time": 1, "request": "a", "release": "\\ud800"}',
    '{"time": 1, "request": "a", "attributes": {"region": ["\\ud800"]}}',
    '{"time": 1, "request": "a", "\\ud800": 1}',
    '{"time": 1, "request": "a", "key": "' + "x" * 5000 + '"}',
    '{"time": 1, "request": "a", "key": ["u"]}',
])  # fmt: skip
def test_a_poisonous_line_is_counted_and_left_out(tmp_path: Path, line: str) -> None:
    (tmp_path / "a.jsonl").write_text(f"{line}\n{json.dumps(record(2))}\n", "utf-8")
    found = source_of(Telemetry(path="."), tmp_path).read({})
    assert [request.id for request in found.requests] == ["r2"]
    assert found.unreadable == 1


def test_a_time_without_a_zone_is_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        naive = datetime(2026, 11, 26, 0, 10)
        for written in ("2026-11-26T00:10:00.000000", naive, "2026-11-26T09:10:00+09:00"):
            found = request_of({**record(1), "time": written})
            assert found is not None
            assert found.time_s == naive.replace(tzinfo=UTC).timestamp()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_is_left_out_is_counted_by_reason() -> None:
    made = collector()
    good = record(1)
    taken = batch(good, good, record(2, time=NOW + 3600), record(3, time=NOW * 1000), record(4, key=None))
    taken.unreadable = 1
    made.take(taken, watch())
    reasons = (made.tally.unreadable, made.tally.absurd, made.tally.milliseconds, made.tally.repeated)
    assert reasons == (1, 1, 1, 1)
    assert made.tally.keyless == 1
    assert sum(made.tally.left_out.values()) == 3, "a repeat is known: nothing of it is lost"


GATE = GateSpec(metric="error_rate", kind=MetricKind.RATE, field="error", margin=0.1)


def _judged(keyless: int, keyed: int, dropped: int = 0, unit: Literal["user", "request"] = "user") -> StageVerdict:
    """A stage after as many healthy requests, half of them of each release."""
    made, now_s = collector(), time.time()  # this file may have been read long before
    stage = StageGates.start([GATE.model_copy(update={"unit": unit})], alpha=0.05, split=0.5, started_s=-3600.0)
    arms, many = ("rel-new", "rel-old"), keyless + keyed
    lines = [record(n, arms[n % 2], key=None if n < keyless else n, time=now_s) for n in range(many)]
    outcomes = made.take(batch(*lines), watch())
    assert outcomes is not None
    stage.observe(outcomes)
    stage.guards.received(len(lines) + dropped, {"unreadable": dropped})
    return StageGates.from_json(json.loads(json.dumps(stage.to_json()))).look(10.0)


def test_requests_without_a_key_are_no_user_and_more_than_a_fifth_of_them_hold() -> None:
    few, many = _judged(100, 500), _judged(200, 500)
    assert few.verdict is Verdict.ADVANCE
    assert sum((few.evidences[0].n_candidate, few.evidences[0].n_baseline)) <= 500
    assert many.verdict is Verdict.HOLD
    assert "200 of 700 requests of this stage carry no targeting key" in many.sentence
    assert _judged(600, 0, unit="request").verdict is Verdict.ADVANCE, "a gate by request asks for no user"


def test_more_than_one_record_in_a_hundred_left_out_holds() -> None:
    assert _judged(0, 600, dropped=6).verdict is Verdict.ADVANCE
    held = _judged(0, 600, dropped=7)
    assert held.verdict is Verdict.HOLD
    assert "7 of 607 records of telemetry in this stage are left out (7 unreadable)" in held.sentence


def test_a_cursor_of_other_settings_begins_at_the_end_of_what_is_there_now(tmp_path: Path) -> None:
    for name in ("before", "after"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n" * 3, "utf-8")
    before = Guarded(Telemetry(path="before.jsonl"), tmp_path)
    after = Guarded(Telemetry(path="after.jsonl"), tmp_path)
    cursor = before.end()
    assert before.read(cursor).cursor == cursor
    assert after.read(cursor, cursor).requests == []
    assert after.read(cursor).cursor == after.end()
    assert after.read({}).unreadable == 3


def test_a_source_in_a_rollout_raises_nothing_but_its_own_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.jsonl").write_text("{}\n", "utf-8")

    def fail(*_: object) -> None:
        raise KeyError("nested too deeply")

    monkeypatch.setattr("rollcast.stacks.telemetry.jsonl.request_of", fail)
    with pytest.raises(StackError, match=r"KeyError: .nested too deeply"):
        Guarded(Telemetry(path="t.jsonl"), tmp_path).read({})
    with pytest.raises(StackError, match="no telemetry of kind 'otlp'"):
        Guarded(Telemetry(kind="otlp"), tmp_path).end()


# ---- hosted models ------------------------------------------------------------------------------

HOSTED = """
schema: rollcast/v1
pipeline: p
artifacts:
  - {kind: model-weights, name: bot, version: "1", source: "vendor:example/bot-2026-05-01"}
  - {kind: model-weights, name: bot, version: "2", source: "vendor:example/bot-2026-06-01"}
  - {kind: model-weights, name: judge, version: "1", source: "vendor:example/judge#alias"}
  - {kind: prompt-template, name: own, version: "1"}
components:
  generator: {artifact: bot@1, prompt: own@1}
  safety: {artifact: judge@1, upstream: [generator]}
"""
RIGHT = {"generator": "bot-2026-05-01", "safety": "example/judge-2026-03-01", "generator.prompt": "anything"}
OTHER = {"generator": "bot-2026-06-01", "safety": "other-2026-05-01"}
SLOTS = st.lists(st.tuples(st.sampled_from(["generator", "safety"]), st.booleans()), max_size=12)


@given(answers=SLOTS)
def test_a_stage_holds_exactly_where_an_answer_names_another_hosted_model(answers: list[tuple[str, bool]]) -> None:
    [release] = releases_of(load(HOSTED)).values()
    made, stage = Collector({"rel-new": release}, Clock()), _stage()
    lines = [record(n, served_by={slot: (RIGHT if right else OTHER)[slot]}) for n, (slot, right) in enumerate(answers)]
    lines += [record(n, "rel-elsewhere", served_by=OTHER) for n in range(100, 102)]
    made.take(batch(*lines), watch())
    stage.guards.answered(made.other_models, True)
    wrong = sum(not right for _, right in answers)
    assert sum(made.tally.other_models.values()) == wrong
    again = StageGates.from_json(json.loads(json.dumps(stage.to_json())))
    held = [guard for guard in again.look(10.0).guards if guard.name == "model" and not guard.ok]
    assert bool(held) == bool(wrong)
    stage.guards.answered({}, False)
    assert all(guard.ok for guard in stage.look(10.0).guards if guard.name == "model"), "as declared: proceed"


@pytest.mark.parametrize("then", ["hold", "proceed"])
def test_a_rollout_holds_or_proceeds_as_declared(then: str) -> None:
    gates = "gates: [{metric: error_rate, margin: 0.5}]"
    declared = load(f"{HOSTED.replace('bot@1,', 'bot@2,')}rollout: {{on_other_model: {then}, {gates}}}\n")
    rollout = Rollout(make_plan(declared, live_as_declared(load(HOSTED))))
    while isinstance(rollout.next(0.0), Reach):
        rollout.reached(0.0)
    rollout.answered({"another": 1})
    verdict = Rollout(rollout.plan, rollout.snapshot()).look(1.0)
    assert verdict is not None
    assert [guard.ok for guard in verdict.guards if guard.name == "model"] == [then == "proceed"]


def _stage() -> StageGates:
    return StageGates.start([GATE], alpha=0.05, split=0.5, started_s=-3600.0)


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ({"served_by": "bot-2026-05-01"}, False),
        ({"served_by": "bot-2026-06-01"}, True),
        ({"response_model": "bot-2026-06-01"}, True),
        ({"gen_ai.response.model": "bot-2026-06-01"}, True),
        ({"attributes": {"gen_ai.response.model": "bot-2026-06-01"}}, True),
        ({"attributes": {"gen_ai.response.model": "judge-2026-06-01"}}, False),
        ({"served_by": {"nothing": "x"}, "response_model": 3}, False),
        ({"served_by": ["bot"]}, False),
        ({}, False),
    ],
)
def test_what_served_is_read_where_kits_and_spans_say_it(said: dict[str, Any], wrong: bool) -> None:
    [release] = releases_of(load(HOSTED)).values()
    made = Collector({"rel-new": release}, Clock())
    made.take(batch(record(1, **said)), watch())
    assert bool(made.tally.other_models) == wrong


def test_many_names_are_counted_and_few_of_them_told_apart() -> None:
    [release] = releases_of(load(HOSTED)).values()
    made = Collector({"rel-new": release}, Clock())
    made.take(batch(*(record(n, served_by={"generator": f"m{n}-2026-01-01"}) for n in range(100))), watch())
    assert sum(made.tally.other_models.values()) == 100
    assert len(made.tally.other_models) <= 21


# ---- requests that entered ---------------------------------------------------------------------


def _lost_of(lines: list[dict[str, Any]], cuts: list[int], restart: bool) -> tuple[int, int, int]:
    """(lost, judged as lost, all judged) of records in such batches, where the driver begins again or not."""
    made, lost, judged, start = collector(), 0, 0, 0
    for stop in [*sorted(cut % (len(lines) + 1) for cut in cuts), len(lines)]:
        outcomes = made.take(batch(*lines[start:stop]), watch(NOW - 1000))
        if outcomes is not None:
            judged += len(outcomes)
            lost += int(outcomes.lost.sum()) if outcomes.lost is not None else 0
        if restart:
            again = collector()
            again.tally = made.tally
            again.remember(batch(*lines[:stop]).requests)
            made = again
        start = stop
    return made.tally.lost, lost, judged


@given(st.sets(st.integers(0, 19)), st.lists(st.integers(0, 100), max_size=4), st.booleans())
def test_who_entered_and_has_no_outcome_after_the_timeout_counts_once_as_a_failure(
    answered: set[int], cuts: list[int], restart: bool
) -> None:
    entered = [record(n, ("rel-new", "rel-old")[n % 2], time=NOW - 500, exposure=True) for n in range(20)]
    ended = [record(n, ("rel-new", "rel-old")[n % 2], time=NOW - 490) for n in sorted(answered)]
    found = _lost_of([*ended, *entered], cuts, restart)
    assert found == (20 - len(answered), 20 - len(answered), 20)


def test_who_entered_just_now_is_waited_for() -> None:
    made = collector()
    assert made.take(batch(record(1, time=time.time(), exposure=True)), watch(NOW - 1000)) is None
    assert made.tally.lost == 0
    later = made.take(batch(record(1)), watch(NOW - 1000))
    assert later is not None
    assert later.lost is None


def test_a_count_that_began_before_the_stage_is_none_of_its_outcomes() -> None:
    """What a Prometheus counts was there some time since its last scrape: perhaps before the shift."""
    made = collector()
    counted = [replace(each, since_s=NOW - 12) for each in batch(record(1), record(2)).requests]
    assert made.take(TelemetryBatch(counted), watch(NOW - 10)) is None
    later = [replace(each, since_s=NOW - 9) for each in batch(record(3), record(4)).requests]
    outcomes = made.take(TelemetryBatch(later), watch(NOW - 10))
    assert outcomes is not None
    assert (len(outcomes), outcomes.counted) == (2, True)
