"""Reading and writing the ledger. One `Ledger` is about one scope: a pipeline in an environment.

Long because transactions, records, positions and leases share their fencing.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from rollcast.planner.releases.releases import canonical, digest_of
from rollcast.stacks.base.databases import LEDGER_URL, first_line, ledger_file
from rollcast.stacks.base.errors import LedgerError, LockedError
from rollcast.stacks.base.failpoints import failpoint
from rollcast.stacks.base.formats import require_readable
from rollcast.stacks.ledger.connecting import connect, database_now_s, place_of
from rollcast.stacks.ledger.lease import TTL_S, Holder, Lease
from rollcast.stacks.ledger.marks import mark_of, refuse_moved
from rollcast.stacks.ledger.records import Record, link
from rollcast.stacks.ledger.schema import DOCUMENTS, LEASES, POSITIONS, RECORDS


class Ledger:
    """Records, documents, positions and the lease of one scope. Raises LedgerError when the database fails."""

    def __init__(
        self, engine: Engine, scope: str, clock: Callable[[], float] = time.time, *, read_only: str = ""
    ) -> None:
        """`read_only`: why nothing can be written to it; empty where it can."""
        self._engine, self.scope, self._clock, self._read_only = engine, scope, clock, read_only

    @contextmanager
    def _write(self, lease: Lease | None = None) -> Iterator[Connection]:
        """A transaction that sees and changes everything at once, refused when `lease` was taken over."""
        if self._read_only:
            raise LedgerError(f"The ledger can't be written ({self._read_only}). Give this user the right to write it.")
        try:
            failpoint("ledger: before a write")
            with self._transaction() as connection:
                refuse_moved(connection, self.scope)
                if lease is not None:
                    self._require(connection, lease)
                yield connection
            failpoint("ledger: after a write")
        except (SQLAlchemyError, OSError) as error:
            raise LedgerError(
                f"The ledger can't be written ({first_line(error)}). Make the database reachable and writable; "
                "then 'rollcast apply --resume' goes on."
            ) from None

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:scope))"), {"scope": self.scope})
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """A transaction that sees one state of everything."""
        try:
            with self._transaction() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise LedgerError(
                f"The ledger can't be read ({first_line(error)}). Make the database reachable, then try again."
            ) from None

    @property
    def place(self) -> str:
        """Where it is, as messages may show it: without a password or a query, which may hold one."""
        return place_of(self._engine)

    # ---- records and documents ----------------------------------------------------------------

    def append(self, kind: str, rollout: str, body: dict[str, Any], lease: Lease | None = None) -> Record:
        """Adds a record. With a lease it is refused when the lease was taken over."""
        with self._write(lease) as connection:
            return self.append_within(connection, kind, rollout, body)

    def append_within(self, connection: Connection, kind: str, rollout: str, body: dict[str, Any]) -> Record:
        """Adds a record in a transaction of the caller's, who holds whatever it takes."""
        query = select(RECORDS).where(RECORDS.c.scope == self.scope).order_by(RECORDS.c.seq.desc()).limit(1)
        row = connection.execute(query).first()
        record = link(self.scope, _record(row) if row else None, self._clock(), kind, rollout, body)
        connection.execute(insert(RECORDS).values({**record.model_dump(), "body": canonical(record.body)}))
        return record

    def records(self, after: int = -1, rollout: str | None = None) -> list[Record]:
        """Records in order, those after a sequence number."""
        query = select(RECORDS).where(RECORDS.c.scope == self.scope, RECORDS.c.seq > after).order_by(RECORDS.c.seq)
        if rollout is not None:
            query = query.where(RECORDS.c.rollout == rollout)
        with self._read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def last_seq(self) -> int:
        """The sequence number of the newest record; -1 before there is one."""
        query = select(func.max(RECORDS.c.seq)).where(RECORDS.c.scope == self.scope)
        with self._read() as connection:
            found = connection.execute(query).scalar()
        return -1 if found is None else int(found)

    def lineage(self) -> str:
        """Which history this is: the hash of its first record; empty before there is one."""
        query = select(RECORDS).where(RECORDS.c.scope == self.scope).order_by(RECORDS.c.seq).limit(1)
        with self._read() as connection:
            row = connection.execute(query).first()
        return _record(row).hash if row else ""

    def last(self, *kinds: str) -> Record | None:
        """The newest record of these kinds."""
        query = select(RECORDS).where(RECORDS.c.scope == self.scope, RECORDS.c.kind.in_(kinds))
        with self._read() as connection:
            row = connection.execute(query.order_by(RECORDS.c.seq.desc()).limit(1)).first()
        return _record(row) if row else None

    def put(self, value: Any) -> str:
        """Stores a JSON value under its digest, once."""
        digest = digest_of(value)
        with self._write() as connection:
            if connection.execute(select(DOCUMENTS.c.digest).where(DOCUMENTS.c.digest == digest)).first() is None:
                connection.execute(insert(DOCUMENTS).values(digest=digest, body=canonical(value)))
        return digest

    def get(self, digest: str) -> Any:
        """A stored value. Raises LedgerError when it is absent or was edited."""
        with self._read() as connection:
            row = connection.execute(select(DOCUMENTS.c.body).where(DOCUMENTS.c.digest == digest)).first()
        if row is None:
            raise LedgerError(f"The ledger has no document {digest}. Restore it from a backup.")
        value = json.loads(row.body)
        if digest_of(value) != digest:
            raise LedgerError(f"Document {digest} was edited. Restore the ledger from a backup.")
        return value

    # ---- positions ----------------------------------------------------------------------------

    def save(self, lease: Lease, rollout: str, body: dict[str, Any], kind: str = "", record: Any = None) -> None:
        """Keeps where a rollout stands, with a record in the same transaction when a kind is given."""
        content = canonical(body)
        where = (POSITIONS.c.scope == self.scope, POSITIONS.c.rollout == rollout)
        with self._write(lease) as connection:
            moved = connection.execute(update(POSITIONS).where(*where).values(token=lease.token, body=content))
            if not moved.rowcount:
                row = {"scope": self.scope, "rollout": rollout, "token": lease.token, "body": content}
                connection.execute(insert(POSITIONS).values(row))
            if kind:
                self.append_within(connection, kind, rollout, record)

    def backend(self) -> str:
        """Where Pulumi's state was carried to when this ledger came here; empty where that does not matter."""
        with self._read() as connection:
            mark = mark_of(connection, self.scope)
        return mark.backend if mark is not None else ""

    def scopes(self) -> list[str]:
        """Every scope that has records in this database, in order."""
        with self._read() as connection:
            return sorted(row.scope for row in connection.execute(select(RECORDS.c.scope).distinct()))

    def newest(self) -> dict[str, int]:
        """The sequence number of the newest record of every scope in this database."""
        query = select(RECORDS.c.scope, func.max(RECORDS.c.seq).label("seq")).group_by(RECORDS.c.scope)
        with self._read() as connection:
            return {row.scope: int(row.seq) for row in connection.execute(query)}

    def position(self, rollout: str) -> dict[str, Any] | None:
        """Where a rollout stands; None when it never began."""
        query = select(POSITIONS.c.body).where(POSITIONS.c.scope == self.scope, POSITIONS.c.rollout == rollout)
        with self._read() as connection:
            row = connection.execute(query).first()
        return json.loads(row.body) if row else None

    def positions(self, beginning: str) -> dict[str, dict[str, Any]]:
        """Every position whose name begins so, by its name."""
        query = select(POSITIONS.c.rollout, POSITIONS.c.body).where(
            POSITIONS.c.scope == self.scope, POSITIONS.c.rollout.startswith(beginning, autoescape=True)
        )
        with self._read() as connection:
            return {row.rollout: json.loads(row.body) for row in connection.execute(query)}

    # ---- lease --------------------------------------------------------------------------------

    def acquire(
        self,
        take_over: bool = False,
        ttl_s: float = TTL_S,
        above: int = 0,
        beginning: tuple[str, dict[str, Any]] | None = None,
    ) -> Lease:
        """The lease with a new token. Raises LockedError naming the holder and what to do.

        `above` is the newest token that the target has seen: a new ledger in the place of a lost one goes on from it.
        `beginning`: kind and body of a record that is kept with it, or not at all.
        """
        holder = Holder.this()
        with self._write() as connection:
            row = connection.execute(select(LEASES).where(LEASES.c.scope == self.scope)).first()
            now = database_now_s(connection)
            if row is not None and row.held:
                Holder.of(json.loads(row.holder)).refuse(row.expires_s - now, take_over=take_over)
            token = max(row.token if row else 0, above) + 1
            values = {"token": token, "holder": canonical(holder.to_json()), "expires_s": now + ttl_s, "held": True}
            if row is None:
                connection.execute(insert(LEASES).values(scope=self.scope, **values))
            else:
                connection.execute(update(LEASES).where(LEASES.c.scope == self.scope).values(**values))
            if beginning is not None:
                self.append_within(connection, beginning[0], "", beginning[1])
        return Lease(self.scope, token, holder)

    def newest_token(self) -> int:
        """The token of the newest lease; 0 before there was any."""
        with self._read() as connection:
            row = connection.execute(select(LEASES.c.token).where(LEASES.c.scope == self.scope)).first()
        return int(row.token) if row is not None else 0

    def renew(self, lease: Lease, ttl_s: float = TTL_S) -> None:
        """Keeps the lease for another while. Raises LockedError when it was taken over."""
        with self._write(lease) as connection:
            until = database_now_s(connection) + ttl_s
            connection.execute(update(LEASES).where(LEASES.c.scope == self.scope).values(expires_s=until))

    def release(self, lease: Lease) -> None:
        """Gives the lease back. Nothing happens when it was taken over."""
        with self._write() as connection:
            where = (LEASES.c.scope == self.scope, LEASES.c.token == lease.token)
            connection.execute(update(LEASES).where(*where).values(held=False))

    def holder(self) -> tuple[Holder, float] | None:
        """Who holds the lease, and for how many seconds more; None when nobody does."""
        with self._read() as connection:
            row = connection.execute(select(LEASES).where(LEASES.c.scope == self.scope)).first()
            if row is None or not row.held:
                return None
            return Holder.of(json.loads(row.holder)), row.expires_s - database_now_s(connection)

    def _require(self, connection: Connection, lease: Lease) -> None:
        row = connection.execute(select(LEASES).where(LEASES.c.scope == self.scope)).first()
        if row is None or row.token != lease.token:
            newer = Holder.of(json.loads(row.holder)) if row else "nobody"
            raise LockedError(
                f"This process lost its lease: {newer} has taken over. Nothing more was done here; "
                "see 'rollcast status'."
            )


def existing_ledger(folder: Path, scope: str) -> Ledger | None:
    """The ledger of a project; None, and nothing is made, where there is none yet."""
    try:
        there = bool(os.environ.get(LEDGER_URL)) or ledger_file(folder).exists()
    except OSError as error:
        raise LedgerError(f"The ledger can't be read ({error}). Give this user the right to read it.") from None
    return open_ledger(folder, scope) if there else None


def scopes_in(folder: Path) -> list[str]:
    """Every pipeline/environment that a project's ledger knows, in order. Raises LedgerError."""
    ledger = existing_ledger(folder, "")
    return ledger.scopes() if ledger is not None else []


def open_ledger(folder: Path, scope: str) -> Ledger:
    """The ledger of a project: the database that ROLLCAST_LEDGER_URL names, else a file of the project.

    Raises LedgerError; MovedError where this one was moved elsewhere.
    """
    return open_ledger_at(os.environ.get(LEDGER_URL) or ledger_file(folder), scope)


def open_ledger_at(where: str | Path, scope: str) -> Ledger:
    """The ledger at a URL or in a file. Raises as `open_ledger` does."""
    opened = connect(where)
    try:
        with opened.engine.begin() as connection:
            refuse_moved(connection, scope)
    except SQLAlchemyError as error:
        raise opened.unreadable(error) from None
    return Ledger(opened.engine, scope, read_only=opened.read_only)


def _record(row: Any) -> Record:
    """A row as it was written. Raises FormatError where its body has a newer format."""
    record = Record.model_validate({**row._mapping, "body": json.loads(row.body)})
    require_readable(record.body, f"Record {record.seq} of {record.scope} ({record.kind})")
    return record
