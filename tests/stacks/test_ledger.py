"""The ledger: append-only, chained, leased; the same on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from rollcast.stacks.base.errors import LedgerError, LockedError
from rollcast.stacks.ledger import schema as ledger_schema
from rollcast.stacks.ledger.lease import Holder
from rollcast.stacks.ledger.ledger import Ledger, open_ledger
from rollcast.stacks.ledger.records import GENESIS, Record, link, verify
from tests.stacks.servers import Postgres, postgres, server_program

SCOPE = "shop/prod"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with postgres(tmp_path_factory.mktemp("postgres")) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database of each kind, named by ROLLCAST_LEDGER_URL where it is not the project's own file."""
    if request.param == "sqlite":
        monkeypatch.delenv("ROLLCAST_LEDGER_URL", raising=False)
        return f"sqlite:///{tmp_path}/.rollcast/ledger.db"
    found: Postgres = request.getfixturevalue("server")
    made = found.database()
    monkeypatch.setenv("ROLLCAST_LEDGER_URL", made)
    return made


@pytest.fixture
def ledger(url: str, tmp_path: Path) -> Ledger:
    return open_ledger(tmp_path, SCOPE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.text(max_size=6), json_values, max_size=4)


def chain(contents: list[dict[str, Any]]) -> list[Record]:
    records: list[Record] = []
    for number, body in enumerate(contents):
        records.append(link(SCOPE, records[-1] if records else None, float(number), "note", "ro-1", body))
    return records


@given(st.lists(bodies, min_size=1, max_size=6), st.data())
def test_any_edit_of_a_record_breaks_the_chain(contents: list[dict[str, Any]], data: st.DataObject) -> None:
    records = chain(contents)
    assert verify(records) == len(records)
    index = data.draw(st.integers(0, len(records) - 1))
    field = data.draw(st.sampled_from(["time_s", "kind", "rollout", "body", "previous", "seq"]))
    other = {
        "time_s": -1.0,
        "kind": "other",
        "rollout": "x",
        "body": {"edited": True},
        "previous": "sha256:x",
        "seq": 9,
    }
    records[index] = records[index].model_copy(update={field: other[field]})
    with pytest.raises(LedgerError):
        verify(records)


@given(st.lists(bodies, min_size=2, max_size=6), st.data())
def test_a_record_left_out_or_put_elsewhere_breaks_the_chain(
    contents: list[dict[str, Any]], data: st.DataObject
) -> None:
    records = chain(contents)
    gone = data.draw(st.integers(0, len(records) - 2))
    with pytest.raises(LedgerError):
        verify(records[:gone] + records[gone + 1 :])
    with pytest.raises(LedgerError):
        verify([*records[:gone], records[gone + 1], records[gone], *records[gone + 2 :]])


def test_records_come_back_as_they_were_written_in_one_unbroken_chain(ledger: Ledger) -> None:
    bodies_ = [{"n": n, "text": "ü\n'\"", "x": 0.1 * n, "deep": {"a": [1, None, True]}} for n in range(5)]
    for body in bodies_:
        ledger.append("note", "ro-1", body)
    found = ledger.records()
    assert [record.body for record in found] == bodies_
    assert found[0].previous == GENESIS
    assert verify(found) == 5
    assert [record.seq for record in ledger.records(after=2)] == [3, 4]


def test_the_database_itself_refuses_to_change_or_delete_what_was_written(ledger: Ledger, url: str) -> None:
    ledger.append("note", "ro-1", {})
    ledger.put({"kept": 1})
    for statement in (
        "UPDATE rollcast_records SET kind = 'x'",
        "DELETE FROM rollcast_records",
        "UPDATE rollcast_documents SET body = '1'",
        "DELETE FROM rollcast_documents",
    ):
        with pytest.raises(SQLAlchemyError, match="append-only"), create_engine(url).begin() as connection:
            connection.execute(text(statement))


def test_scopes_do_not_see_each_other(ledger: Ledger, tmp_path: Path) -> None:
    other = open_ledger(tmp_path, "shop/staging")
    ledger.append("note", "ro-1", {"n": 1})
    lease = other.acquire()
    other.append("note", "ro-2", {"n": 2}, lease)
    assert [record.rollout for record in ledger.records()] == ["ro-1"]
    assert verify(other.records()) == 1
    assert ledger.acquire().token == 1


def test_one_process_holds_the_lease(ledger: Ledger) -> None:
    ledger.acquire()
    with pytest.raises(LockedError, match="is at work here"):
        ledger.acquire()
    with pytest.raises(LockedError, match="is at work here"):
        ledger.acquire(take_over=True)


def test_a_new_ledger_in_the_place_of_a_lost_one_goes_on_above_what_the_target_has_seen(ledger: Ledger) -> None:
    first = ledger.acquire(above=41)
    assert first.token == 42
    ledger.release(first)
    assert ledger.acquire(above=7).token == 43, "an existing ledger counts on by itself"


def test_a_lease_that_ran_out_is_taken_over_only_by_order(ledger: Ledger) -> None:
    old = ledger.acquire(ttl_s=0.0)
    time.sleep(0.02)
    with pytest.raises(LockedError, match="--resume"):
        ledger.acquire()
    new = ledger.acquire(take_over=True)
    assert new.token > old.token


def test_every_write_of_an_old_holder_is_refused_and_changes_nothing(ledger: Ledger) -> None:
    old = ledger.acquire(ttl_s=0.0)
    ledger.save(old, "ro-1", {"at": 1})
    time.sleep(0.02)
    new = ledger.acquire(take_over=True)
    for late in (
        lambda: ledger.append("note", "ro-1", {}, old),
        lambda: ledger.save(old, "ro-1", {"at": 2}, "reached", {}),
        lambda: ledger.renew(old),
    ):
        with pytest.raises(LockedError, match="lost its lease"):
            late()
    assert ledger.records() == []
    assert ledger.position("ro-1") == {"at": 1}
    ledger.release(old)
    assert ledger.holder() is not None, "an old holder can't give away the lease of the new one"
    ledger.renew(new)


def test_the_lease_of_a_dead_process_of_this_machine_can_be_taken_over_at_once(ledger: Ledger, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from rollcast.stacks.ledger.ledger import open_ledger; "
        f"print(open_ledger(Path(sys.argv[1]), {SCOPE!r}).acquire().token)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    with pytest.raises(LockedError, match="is gone"):
        ledger.acquire()
    assert ledger.acquire(take_over=True).token == int(done.stdout) + 1


def test_a_process_is_not_taken_for_a_dead_one_of_the_same_number() -> None:
    this = Holder.this()
    assert not this.is_gone
    assert this.model_copy(update={"began": "1"}).is_gone
    assert not this.model_copy(update={"host": "elsewhere", "boot": "x", "began": "1"}).is_gone, (
        "nobody knows that from here"
    )


def test_a_position_and_its_record_are_written_together_or_not_at_all(ledger: Ledger) -> None:
    lease = ledger.acquire()
    ledger.save(lease, "ro-1", {"at": 1}, "reached", {"milestone": 1})
    assert ledger.position("ro-1") == {"at": 1}
    assert [record.kind for record in ledger.records()] == ["reached"]
    with pytest.raises(TypeError):
        ledger.save(lease, "ro-1", {"at": 2}, "reached", {"not": object()})
    assert ledger.position("ro-1") == {"at": 1}


def test_a_document_is_stored_once_and_known_by_its_digest(ledger: Ledger) -> None:
    value = {"b": [1, 2], "a": {"x": None}}
    assert ledger.put(value) == ledger.put(json.loads(json.dumps(value)))
    assert ledger.get(ledger.put(value)) == value
    with pytest.raises(LedgerError, match="has no document"):
        ledger.get("sha256:" + "0" * 64)


def test_two_writers_at_once_make_one_chain(ledger: Ledger, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from rollcast.stacks.ledger.ledger import open_ledger; "
        f"ledger = open_ledger(Path(sys.argv[1]), {SCOPE!r}); "
        "[ledger.append('note', sys.argv[2], {'n': n}) for n in range(40)]"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path), f"ro-{n}"]) for n in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert verify(ledger.records()) == 120


def test_a_ledger_of_an_older_version_is_brought_up_to_date(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ledger(tmp_path, SCOPE).append("note", "ro-1", {"old": True})
    second = [*ledger_schema.MIGRATIONS, lambda c: c.execute(text("ALTER TABLE rollcast_leases ADD COLUMN note TEXT"))]
    monkeypatch.setattr(ledger_schema, "MIGRATIONS", second)
    again = open_ledger(tmp_path, SCOPE)
    assert [record.body for record in again.records()] == [{"old": True}]
    with create_engine(url).connect() as connection:
        assert connection.execute(text("SELECT version FROM rollcast_version")).scalar() == len(second)
        connection.execute(text("SELECT note FROM rollcast_leases"))
    open_ledger(tmp_path, SCOPE)  # a second time nothing is to do
    monkeypatch.undo()
    if not url.startswith("sqlite"):
        monkeypatch.setenv("ROLLCAST_LEDGER_URL", url)
    with pytest.raises(LedgerError, match="newer rollcast"):
        open_ledger(tmp_path, SCOPE)


def test_only_its_owner_can_read_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLLCAST_LEDGER_URL", raising=False)
    open_ledger(tmp_path, SCOPE).append("note", "ro-1", {})
    assert (tmp_path / ".rollcast/ledger.db").stat().st_mode & 0o777 == 0o600


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be opened for writing, as for a user without that right; whoever runs tests may be root."""
    opened = os.open

    def refuse(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *rest, **named)

    monkeypatch.delenv("ROLLCAST_LEDGER_URL", raising=False)
    monkeypatch.setattr(os, "open", refuse)


def test_a_ledger_that_may_not_be_written_is_read_as_it_is(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    before = open_ledger(tmp_path, SCOPE)
    before.append("note", "ro-1", {"n": 1})
    digest = before.put({"a": 1})
    request.getfixturevalue("read_only")
    ledger = open_ledger(tmp_path, SCOPE)
    assert [record.body for record in ledger.records()] == [{"n": 1}]
    assert ledger.get(digest) == {"a": 1}
    assert ledger.holder() is None
    for write in (lambda: ledger.append("note", "ro-1", {}), lambda: ledger.put({"b": 2}), ledger.acquire):
        with pytest.raises(LedgerError, match=r"ledger\.db: Permission denied, mode 0600"):
            write()


@pytest.mark.usefixtures("read_only")
def test_where_no_ledger_can_be_made_there_is_nothing_to_read_and_nothing_is_written(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path, SCOPE)
    assert ledger.records() == []
    assert ledger.last("started") is None
    with pytest.raises(LedgerError, match="can't be written"):
        ledger.append("note", "ro-1", {})


def test_a_database_out_of_reach_is_one_sentence_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCAST_LEDGER_URL", "postgresql+psycopg://someone:hunter2@127.0.0.1:1/none")
    with pytest.raises(LedgerError) as caught:
        open_ledger(tmp_path, SCOPE)
    assert "ROLLCAST_LEDGER_URL" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_full_disk_refuses_the_write_and_keeps_the_chain(ledger: Ledger, tmp_path: Path) -> None:
    """The size of the file is limited; a database server has a disk of its own."""
    ledger.append("note", "ro-1", {})
    size = (tmp_path / ".rollcast/ledger.db").stat().st_size
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from rollcast.stacks.ledger.ledger import open_ledger\n"
        "from rollcast.stacks.base.errors import LedgerError\n"
        f"signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, ({size},) * 2)\n"
        f"ledger = open_ledger(Path(sys.argv[1]), {SCOPE!r})\n"
        "try:\n    ledger.append('note', 'ro-1', {'long': 'x' * 100_000})\n"
        "except LedgerError as error:\n    print(error); sys.exit(0)\n"
        "sys.exit(3)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert verify(ledger.records()) == 1


def test_a_ledger_in_postgresql_is_backed_up_and_restored_by_its_own_tools(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the page on a lost ledger says: pg_dump of the one, pg_restore into an empty database."""
    here, there = server.database(), server.database()
    monkeypatch.setenv("ROLLCAST_LEDGER_URL", here)
    ledger = open_ledger(tmp_path, SCOPE)
    lease = ledger.acquire()
    for number in range(5):
        ledger.append("note", "r1", {"n": number}, lease)
    ledger.release(lease)
    dump, plain = tmp_path / "ledger.dump", here.replace("+psycopg", "")
    subprocess.run(
        [server_program("pg_dump"), "--format=custom", f"--file={dump}", plain], check=True, capture_output=True
    )
    words = [server_program("pg_restore"), f"--dbname={there.replace('+psycopg', '')}", str(dump)]
    subprocess.run(words, check=True, capture_output=True)
    monkeypatch.setenv("ROLLCAST_LEDGER_URL", there)
    restored = open_ledger(tmp_path, SCOPE)
    assert [record.hash for record in restored.records()] == [record.hash for record in ledger.records()]
    assert verify(restored.records()) == len(restored.records())
    assert (restored.lineage(), restored.backend()) == (ledger.lineage(), ledger.backend())
    again = restored.acquire()
    assert again.token > lease.token
    restored.append("note", "r1", {"n": 5}, again)
    with pytest.raises(Exception, match="append-only"), create_engine(there).begin() as connection:
        connection.execute(text("DELETE FROM rollcast_records"))
