"""What is wrong with a project's ledger, if anything: it is not there, can't be read, or is older than the target."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from rollcast.stacks.base.clock import moment
from rollcast.stacks.base.databases import LEDGER_URL, ledger_file
from rollcast.stacks.base.errors import FormatError, LedgerError, MovedError
from rollcast.stacks.ledger.ledger import Ledger, existing_ledger, open_ledger_at
from rollcast.stacks.ledger.payloads import RecoveredBody
from rollcast.stacks.ledger.records import Record, verify
from rollcast.stacks.ledger.rollouts import RECOVERED, RECOVERING, STARTED, scope_of
from rollcast.stacks.project import Project


class LedgerState(StrEnum):
    """What a ledger is like."""

    ABSENT = "absent"  # there is none, or it knows nothing of the environment
    BROKEN = "broken"
    BEHIND = "behind"  # an older copy was restored: the target has seen newer tokens
    GOING_ON = "going on"  # a recovery was begun in it
    RECOVERED = "recovered"  # and no rollout has begun since
    WHOLE = "whole"


@dataclass(frozen=True)
class FoundLedger:
    """What a ledger is like, and why in words; its lineage where it has one. `begun`: what a recovery had found."""

    state: LedgerState
    why: str
    lineage: str = ""
    begun: RecoveredBody | None = None


def found_ledger(project: Project, newest: int) -> FoundLedger:
    """What the project's ledger is like. `newest`: the newest token that the target has seen.

    Raises LedgerError where that can't be known, or where what is broken is not to be set aside from here; MovedError,
    FormatError.
    """
    scope = scope_of(project.declaration, project.environment_name)
    file = None if os.environ.get(LEDGER_URL) else ledger_file(project.folder)
    if file is not None and file.exists() and (mistake := _damage(file)):
        return FoundLedger(LedgerState.BROKEN, f"{file} can't be read: {mistake}")
    try:
        ledger = existing_ledger(project.folder, scope)
        records = ledger.records() if ledger is not None else []
        verify(records)
    except (MovedError, FormatError):
        raise
    except (LedgerError, ValueError, ValidationError) as error:
        if file is None or not file.exists():
            raise LedgerError(
                f"{error} A database is not set aside from here: restore a backup, or give an empty one to "
                f"{LEDGER_URL} and run 'rollcast recover' again."
            ) from None
        return FoundLedger(LedgerState.BROKEN, f"{file}: {error}")
    if ledger is None or not records:
        where = ledger.place if ledger is not None else file
        return FoundLedger(LedgerState.ABSENT, f"{where} knows nothing of {scope}")
    return _of_records(ledger, records, newest)


def _of_records(ledger: Ledger, records: list[Record], newest: int) -> FoundLedger:
    lineage = records[0].hash
    last = next((r for r in reversed(records) if r.kind in (STARTED, RECOVERING, RECOVERED)), None)
    if last is not None and last.kind == RECOVERING:
        begun = last.read(RecoveredBody)
        return FoundLedger(LedgerState.GOING_ON, "a recovery was begun and not completed", lineage, begun)
    known = ledger.newest_token()
    if newest > known:
        why = (
            f"it is older than the target, which has seen fencing token {newest} and the ledger only {known}: a copy "
            f"that ends at {moment(records[-1].time_s)} was restored"
        )
        return FoundLedger(LedgerState.BEHIND, why, lineage)
    if last is not None and last.kind == RECOVERED:
        return FoundLedger(LedgerState.RECOVERED, f"it was recovered {moment(last.time_s)}", lineage)
    return FoundLedger(LedgerState.WHOLE, f"it has {len(records)} records in an unbroken chain", lineage)


def _damage(file: Path) -> str:
    """What is wrong with a file that is no whole database; empty where it is one. Raises LedgerError: not readable."""
    try:
        with closing(sqlite3.connect(file, timeout=15.0)) as database:
            said = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise LedgerError(
            f"The ledger {file} can't be opened ({error}). Give this user the right to read and write it, then try "
            "again: whether it is whole is not known."
        ) from None
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if said == "ok" else said.splitlines()[0]


def whole_elsewhere(place: str, host: str, lineage: str, scope: str, own: Path) -> bool:
    """Whether the ledger that the target names is a file of this machine, other than our own, and goes on there."""
    path, _, there = place.rpartition(" on ")
    file = Path(path)
    if there != host or not file.is_file() or file == own.resolve():
        return False
    try:
        return bool(lineage) and open_ledger_at(file, scope).lineage() == lineage
    except LedgerError:
        return False


__all__ = ["FoundLedger", "LedgerState", "found_ledger", "whole_elsewhere"]
