"""Opening the database of a ledger: a file of the project, or a server.

A file that may not be written, or not be made, is read as it is: reading needs no right to write. Only a write is
refused then, with the file and what it lacks.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from rollcast.stacks.base.databases import LEDGER_URL, engine_at, first_line
from rollcast.stacks.base.errors import LedgerError
from rollcast.stacks.ledger.schema import migrate, require_known

_BUSY_S = 15.0


@dataclass(frozen=True)
class OpenedDatabase:
    """A database whose tables are current. `read_only`: why nothing can be written to it; empty where it can."""

    engine: Engine
    where: str | Path
    read_only: str

    @property
    def place(self) -> str:
        return place_of(self.engine)

    @property
    def is_file(self) -> bool:
        return isinstance(self.where, Path)

    def unreadable(self, error: Exception) -> LedgerError:
        """What is said where it can't be opened."""
        return _unopened(self.where, error)


def connect(where: str | Path, named: str = LEDGER_URL) -> OpenedDatabase:
    """The database at a URL, or in a file, which is made where it is absent. Raises LedgerError.

    `named`: what a mistake in the URL is to be corrected in.
    """
    read_only = ""
    try:
        if isinstance(where, Path):
            read_only = _unwritable(where)
            engine = _sqlite(where, bool(read_only))
        else:
            engine = engine_at(where, pool_pre_ping=True)
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('rollcast-migrations'))"))
            if read_only and isinstance(where, Path) and where.exists():
                require_known(connection)
            else:
                migrate(connection)
    except (SQLAlchemyError, OSError, ImportError) as error:
        raise _unopened(where, error, named) from None
    return OpenedDatabase(engine, where, read_only)


def place_of(engine: Engine) -> str:
    """Where a database is, as messages may show it: without a password or a query, which may hold one."""
    url = engine.url
    if url.get_backend_name() == "sqlite":
        return f"{Path(url.database).resolve() if url.database else 'in memory'} on {socket.gethostname()}"
    return url.set(query={}).render_as_string()  # hides the password


def database_now_s(connection: Connection) -> float:
    """The database's time, in seconds."""
    if connection.dialect.name == "postgresql":
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return float(connection.execute(text("SELECT (julianday('now') - 2440587.5) * 86400.0")).scalar_one())


def _unopened(where: str | Path, error: Exception, named: str = LEDGER_URL) -> LedgerError:
    remedy = (
        f"Restore {where} from a backup: nothing else knows what was decided."
        if isinstance(where, Path)
        else f"Correct {named}, or make the database reachable."
    )
    return LedgerError(f"The ledger can't be opened ({first_line(error)}). {remedy}")


def _unwritable(path: Path) -> str:
    """Why a file may not be written, which is made where it is absent; empty where it may. Raises OSError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        mode = f", mode {path.stat().st_mode & 0o777:04o}" if path.exists() else ""
        return f"{path}: {error.strerror}{mode}"
    return ""


def _sqlite(path: Path, read_only: bool) -> Engine:
    """A file's database; where it is read only and absent, an empty one in memory."""
    settings: dict[str, Any] = {"timeout": _BUSY_S, "check_same_thread": False}
    if not read_only:
        engine = create_engine(f"sqlite:///{path}", connect_args=settings)
    elif path.exists():
        place = f"file:{quote(str(path.resolve()))}?mode=ro&uri=true"
        engine = create_engine(f"sqlite:///{place}", connect_args=settings)
    else:
        engine = create_engine("sqlite://", connect_args=settings, poolclass=StaticPool)

    # The driver would begin a transaction only at the first write; two readers could then both decide to write.
    @event.listens_for(engine, "connect")
    def _plain(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
