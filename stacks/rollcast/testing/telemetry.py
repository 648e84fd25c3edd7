"""What telemetry must answer: the entry points `rollcast.telemetry`.

    class TestCsv(TelemetryConformance):
        def make(self, tmp_path: Path) -> TelemetrySource:
            return Csv(CsvSettings(table="outcomes.csv"), tmp_path)

        def write(self, tmp_path: Path, records: Sequence[Mapping[str, Any]]) -> None:
            ...  # appends them, as the data plane does

A source of counts (`knows_requests` is false) is held to how many requests of each release ended, and how many failed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetrySource
from rollcast.testing.settings import check_settings

_MOST_READS = 1000  # after which a source that always says that there is more is taken for one without an end


class TelemetryConformance:
    """Subclass it; give `make` and `write`, and `damage` where a record can be unreadable."""

    def make(self, tmp_path: Path) -> TelemetrySource:
        """The source of a place: a new object at each call, as every process has its own; one place for one path."""
        raise NotImplementedError

    def write(self, tmp_path: Path, records: Sequence[Mapping[str, Any]]) -> None:
        """Adds records there, and returns once the source can know them.

        Each has `time` (seconds since 1970), `request`, `key`, `release`, `latency_s` and `error`.
        """
        raise NotImplementedError

    def damage(self, tmp_path: Path) -> None:
        """Adds one record that is no telemetry. Left as it is where no such thing can be there."""
        pytest.skip("there are no unreadable records")

    def test_its_settings_know_their_keys(self, tmp_path: Path) -> None:
        """A misspelt key of the declaration is found at its line."""
        check_settings(self.make(tmp_path))

    def test_what_was_known_before_the_end_is_not_read_after_it(self, tmp_path: Path) -> None:
        """A gate judges what came after its stage began."""
        self.write(tmp_path, _records(0, 5))
        found, _ = _all(self.make(tmp_path), self.make(tmp_path).end())
        assert found == [], f"{len(found)} requests of before came again"

    def test_each_request_is_read_once_by_one_process(self, tmp_path: Path) -> None:
        """However often it is read."""
        self.write(tmp_path, _records(0, 3))
        made = self.make(tmp_path)
        found, cursor = [], made.end()
        for first, end in ((3, 7), (7, 8), (8, 20)):
            self.write(tmp_path, _records(first, end))
            for _ in range(2):
                more, cursor = _all(made, cursor)
                found += more
        _same(made, found, _records(3, 20))

    def test_each_request_is_read_once_by_processes_that_follow_each_other(self, tmp_path: Path) -> None:
        """A cursor is plain data: it is kept as JSON, and a later process goes on exactly there."""
        self.write(tmp_path, _records(0, 3))
        found, cursor = [], self.make(tmp_path).end()
        for first, end in ((3, 7), (7, 8), (8, 20)):
            self.write(tmp_path, _records(first, end))
            kept = json.loads(json.dumps(cursor))
            assert kept == cursor, f"a cursor is no plain data: {cursor!r}"
            more, cursor = _all(self.make(tmp_path), kept)
            found += more
        _same(self.make(tmp_path), found, _records(3, 20))

    def test_the_same_cursor_gives_the_same_requests(self, tmp_path: Path) -> None:
        """A process that was killed before it kept what it read reads it again. Reading changes no cursor."""
        self.write(tmp_path, _records(0, 3))
        cursor = self.make(tmp_path).end()
        kept = json.dumps(cursor)
        self.write(tmp_path, _records(3, 9))
        for _ in range(2):
            made = self.make(tmp_path)
            found, _ = _all(made, cursor)
            _same(made, found, _records(3, 9))
        assert json.dumps(cursor) == kept, "'read' changed the cursor that it was given"

    def test_it_reads_no_further_than_its_limit(self, tmp_path: Path) -> None:
        """What came after a stage is over is the next one's. A cursor that is past the end stays where it is."""
        self.write(tmp_path, _records(0, 3))
        begin = self.make(tmp_path).end()
        self.write(tmp_path, _records(3, 7))
        until = json.loads(json.dumps(self.make(tmp_path).end()))
        self.write(tmp_path, _records(7, 12))
        made = self.make(tmp_path)
        found, cursor = _all(made, begin, until)
        _same(made, found, _records(3, 7))
        for at in (cursor, until):
            found, again = _all(self.make(tmp_path), at, until)
            assert found == [], f"{len(found)} requests came from behind the end"
            found, last = _all(self.make(tmp_path), again)
            _same(made, found, _records(7, 12))
        found, past = _all(self.make(tmp_path), last, until)
        assert found == [], f"{len(found)} requests came again"
        self.write(tmp_path, _records(12, 14))
        found, _ = _all(self.make(tmp_path), past)
        _same(made, found, _records(12, 14))

    def test_one_request_is_found_by_its_id(self, tmp_path: Path) -> None:
        """`audit` asks for it. A source of counts says that it can't, and where to look."""
        self.write(tmp_path, _records(0, 9))
        made = self.make(tmp_path)
        if not made.knows_requests:
            with pytest.raises(StackError):
                made.find("request-4")
            return
        found = made.find("request-4")
        assert found is not None, "request-4 is not found"
        _same(made, [found], _records(4, 5))
        assert made.find("request") is None, "a part of an id is no id"

    def test_an_unreadable_record_is_counted_and_the_rest_is_read(self, tmp_path: Path) -> None:
        """One bad line neither ends a rollout nor hides what stands behind it."""
        made = self.make(tmp_path)
        cursor, unreadable = made.end(), 0
        self.write(tmp_path, _records(0, 2))
        self.damage(tmp_path)
        self.write(tmp_path, _records(2, 4))
        found: list[RequestRecord] = []
        for _ in range(_MOST_READS):
            batch = made.read(cursor)
            found, cursor, unreadable = [*found, *batch.requests], batch.cursor, unreadable + batch.unreadable
            if not batch.more:
                break
        _same(made, found, _records(0, 4))
        assert unreadable == 1, f"{unreadable} unreadable records were counted, not 1"


def _records(first: int, end: int) -> list[dict[str, Any]]:
    """Requests first … end - 1, of two releases; every fifth failed."""
    now = float(int(time.time()))
    return [
        {
            "time": now, "request": f"request-{number}", "key": f"user-{number % 7}",
            "release": "rel-new" if number % 3 else "rel-old", "latency_s": 0.25 * (1 + number % 4),
            "error": number % 5 == 0,
        }
        for number in range(first, end)
    ]  # fmt: skip


def _all(made: TelemetrySource, cursor: Cursor, until: Cursor | None = None) -> tuple[list[RequestRecord], Cursor]:
    """All requests from a cursor on, and where they end. Raises AssertionError where there is always more."""
    found: list[RequestRecord] = []
    for _ in range(_MOST_READS):
        batch = made.read(cursor, until)
        found, cursor = [*found, *batch.requests], batch.cursor
        if not batch.more:
            return found, cursor
    raise AssertionError("the source always says that there is more")


def _same(made: TelemetrySource, found: Sequence[RequestRecord], wanted: Sequence[Mapping[str, Any]]) -> None:
    """Whether these requests were read, each once and with what it says. Raises AssertionError."""
    got: Counter[tuple[Any, ...]]
    want: Counter[tuple[Any, ...]]
    if made.knows_requests:
        got = Counter((r.id, r.key, r.release, r.values.get("latency_s"), r.values.get("error")) for r in found)
        names = ("request", "key", "release", "latency_s", "error")
        want = Counter(tuple(record[name] for name in names) for record in wanted)
    else:
        got = Counter((request.release, request.values.get("error")) for request in found)
        want = Counter((record["release"], record["error"]) for record in wanted)
    assert got == want, f"read too often or too much: {dict(got - want)}; not read: {dict(want - got)}"


__all__ = ["TelemetryConformance"]
