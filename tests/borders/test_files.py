"""A file or an address that is damaged is named with a remedy that fits, and nothing of it is lost or shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.stacks.artifacts import lock
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.ledger import open_ledger
from rollcast.stacks.telemetry.sql import Sql, SqlSettings

LOCK = '{"format_version": "1.1", "artifacts": {"answer@1": "sha256:1"}}\n'


@pytest.mark.parametrize("mark", ["<<<<<<< HEAD", "=======", ">>>>>>> theirs"])
def test_a_lock_in_the_middle_of_a_merge_is_refused_at_its_line_and_keeps_its_pins(mark: str, tmp_path: Path) -> None:
    text = LOCK.replace(' "artifacts"', f'\n{mark}\n "artifacts"')
    (tmp_path / lock.NAME).write_text(text)
    with pytest.raises(StackError, match=r"rollcast\.lock:2 .*Take one side whole"):
        lock.read(tmp_path)
    assert (tmp_path / lock.NAME).read_text() == text


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: (LOCK[:30] + text).encode("utf-8", "replace")))
def test_a_lock_of_any_bytes_is_a_lock_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, body: bytes
) -> None:
    folder = tmp_path_factory.mktemp("lock")
    (folder / lock.NAME).write_bytes(body)
    with pytest.raises(StackError, match=r"Restore it|newer rollcast|merge conflict"):
        lock.read(folder)


URLS = [
    "postgresql://me:hunter2@host:port/db",
    "postgresql+psycopg://me:hunter2@host:99999999/db",
    "nothing://me:hunter2@host/db",
    "me:hunter2",
    "postgresql+psycopg://me:hunter2@127.0.0.1:1/db",
]


@pytest.mark.parametrize("url", URLS)
def test_an_address_of_a_database_that_is_none_is_one_clear_error_without_a_secret(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROLLCAST_LEDGER_URL", url)
    for call in (lambda: open_ledger(tmp_path, "chat/dev"), Sql(SqlSettings(url=url, path="t"), tmp_path).end):
        with pytest.raises(StackError, match=r"Correct|reachable") as refused:
            call()
        assert "hunter2" not in str(refused.value)


def test_a_damaged_ledger_is_named_with_what_restores_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ROLLCAST_LEDGER_URL", raising=False)
    file = tmp_path / ".rollcast" / "ledger.db"
    file.parent.mkdir()
    file.write_bytes(b"no database" * 500)
    with pytest.raises(StackError, match=r"Restore .*ledger\.db from a backup"):
        open_ledger(tmp_path, "chat/dev")
    assert file.read_bytes() == b"no database" * 500
