"""The rows of a ledger, copied from one database to another, and both held against each other.

Records, positions and the newest fencing tokens of some scopes are copied as they were written, with the documents that
they name. What is there already must be how the history that is copied begins; the rest is added to it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, inspect, select

from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.errors import LedgerError
from rollcast.stacks.flags.publishing import DEFINITIONS
from rollcast.stacks.ledger.records import Record, verify
from rollcast.stacks.ledger.schema import DOCUMENTS, LEASES, POSITIONS, RECORDS

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BATCH = 500
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class CountedScope:
    """What a scope has: how many records and positions, and the hash of its newest record; empty without any."""

    scope: str
    records: int
    positions: int
    head: str


@dataclass(frozen=True)
class Copied:
    """What both sides have after a copy."""

    scopes: tuple[CountedScope, ...]
    documents: int


def scopes_of(connection: Connection, pipeline: str, *, every: bool) -> list[str]:
    """The scopes that a database knows: those of a pipeline, or all of them."""
    found = {row.scope for table in (RECORDS, LEASES) for row in connection.execute(select(table.c.scope).distinct())}
    return sorted(scope for scope in found if every or scope.partition("/")[0] == pipeline)


def copy(source: Connection, target: Connection, scopes: Sequence[str], published: Sequence[str] | None) -> Copied:
    """Copies scopes, and holds both sides against each other. `published`: names of flags that go along; None: all.

    Raises LedgerError where the target has another history of a scope, or where either side is not as it must be.
    """
    for scope in scopes:
        _records(source, target, scope)
        for table in (POSITIONS, LEASES):
            target.execute(delete(table).where(table.c.scope == scope))
        _insert(target, POSITIONS, _rows(source, POSITIONS, scope))
        _insert(target, LEASES, [{**row, "held": False} for row in _rows(source, LEASES, scope)])
    documents = _documents(source, scopes)
    have = set(_having(target, documents))
    _insert(target, DOCUMENTS, [row for digest, row in documents.items() if digest not in have])
    _published(source, target, published)
    return held_against(source, target, scopes)


def held_against(source: Connection, target: Connection, scopes: Sequence[str]) -> Copied:
    """What both sides have. Raises LedgerError where they differ, or where a chain or a document is not as written."""
    counted = []
    for scope in scopes:
        ours, theirs = _rows(source, RECORDS, scope), _rows(target, RECORDS, scope)
        if ours != theirs:
            raise LedgerError(
                f"{len(ours)} records of {scope} were copied, and {len(theirs)} arrived that are not the same. "
                "Nothing was moved. Repeat 'rollcast ledger move'."
            )
        for rows in (ours, theirs):
            verify(Record.model_validate({**row, "body": json.loads(row["body"])}) for row in rows)
        positions = _rows(source, POSITIONS, scope)
        tokens = [[row["token"] for row in _rows(side, LEASES, scope)] for side in (source, target)]
        if positions != _rows(target, POSITIONS, scope) or tokens[0] != tokens[1]:
            raise LedgerError(
                f"Where the rollouts of {scope} stand did not arrive as it is. Nothing was moved. "
                "Repeat 'rollcast ledger move'."
            )
        counted.append(CountedScope(scope, len(ours), len(positions), ours[-1]["hash"] if ours else ""))
    wanted = _documents(source, scopes)
    arrived = _having(target, wanted)
    for digest in wanted:
        if digest not in arrived or digest_of(json.loads(arrived[digest]["body"])) != digest:
            raise LedgerError(
                f"Document {digest} is not as it was written. Nothing was moved. Restore the ledger from a backup."
            )
    return Copied(tuple(counted), len(wanted))


def _records(source: Connection, target: Connection, scope: str) -> None:
    ours, theirs = _rows(source, RECORDS, scope), _rows(target, RECORDS, scope)
    if theirs != ours[: len(theirs)]:
        raise LedgerError(
            f"The new place has another history of {scope} ({len(theirs)} records) than the old one ({len(ours)}), and "
            "two histories can't become one. Nothing was moved. Choose another database."
        )
    _insert(target, RECORDS, ours[len(theirs) :])


def _rows(connection: Connection, table: Table, scope: str) -> Rows:
    """The rows of a scope in the order of their key."""
    query = select(table).where(table.c.scope == scope).order_by(*table.primary_key.columns)
    return [dict(row._mapping) for row in connection.execute(query)]


def _insert(connection: Connection, table: Table, rows: Rows) -> None:
    for batch in _batches(rows):
        connection.execute(insert(table), batch)


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _documents(source: Connection, scopes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The documents that records and positions of these scopes name, and those that these name in turn."""
    found: dict[str, dict[str, Any]] = {}
    texts = [row["body"] for scope in scopes for table in (RECORDS, POSITIONS) for row in _rows(source, table, scope)]
    named = {digest for text in texts for digest in _DIGEST.findall(text)}
    while named:
        new = _having(source, named)
        found.update(new)
        named = {digest for row in new.values() for digest in _DIGEST.findall(row["body"])} - found.keys()
    return found


def _having(connection: Connection, digests: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Those of the documents that are there."""
    found: dict[str, dict[str, Any]] = {}
    for batch in _batches(sorted(digests)):
        rows = connection.execute(select(DOCUMENTS).where(DOCUMENTS.c.digest.in_(batch)))
        found.update({row.digest: dict(row._mapping) for row in rows})
    return found


def _published(source: Connection, target: Connection, names: Sequence[str] | None) -> None:
    """Flags that relays read in the ledger's database. Raises LedgerError where a name is another one's there."""
    if not inspect(source).has_table(DEFINITIONS.name):
        return
    rows = [dict(row._mapping) for row in source.execute(select(DEFINITIONS))]
    rows = [row for row in rows if names is None or row["name"] in names]
    if not rows:
        return
    DEFINITIONS.create(target, checkfirst=True)
    there = {row.name: row for row in target.execute(select(DEFINITIONS))}
    for row in rows:
        own = there.get(row["name"])
        if own is not None and own.digest != row["digest"] and own.time_s > row["time_s"]:
            raise LedgerError(
                f"The new place publishes other flags as ledger#{row['name']}. Nothing was moved. "
                "Give this project's 'publish' another name, and apply once before the move."
            )
        target.execute(delete(DEFINITIONS).where(DEFINITIONS.c.name == row["name"]))
        target.execute(insert(DEFINITIONS).values(row))


__all__ = ["Copied", "CountedScope", "copy", "held_against", "scopes_of"]
