"""The ledger's tables, and how an older ledger becomes a current one.

`MIGRATIONS` is a list that only grows: each entry brings the tables from its index to the next version, in one
transaction with the version's own update. A ledger of a newer version is refused. SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)

from rollcast.stacks.base.errors import LedgerError

METADATA = MetaData()

VERSION = Table("rollcast_version", METADATA, Column("version", BigInteger, nullable=False))

RECORDS = Table(
    "rollcast_records",
    METADATA,
    Column("scope", String(300), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("time_s", Float(53), nullable=False),
    Column("kind", String(40), nullable=False),
    Column("rollout", String(60), nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String(80), nullable=False),
    Column("hash", String(80), nullable=False),
    PrimaryKeyConstraint("scope", "seq"),
)

DOCUMENTS = Table(
    "rollcast_documents",
    METADATA,
    Column("digest", String(80), primary_key=True),
    Column("body", Text, nullable=False),
)

POSITIONS = Table(
    "rollcast_positions",
    METADATA,
    Column("scope", String(300), nullable=False),
    Column("rollout", String(60), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("scope", "rollout"),
)

LEASES = Table(
    "rollcast_leases",
    METADATA,
    Column("scope", String(300), primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("expires_s", Float(53), nullable=False),
    Column("held", Boolean, nullable=False),
)

MOVES = Table(
    "rollcast_moves",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("pipeline", String(120), nullable=False),
    Column("state", String(20), nullable=False),
    Column("place", Text, nullable=False),
    Column("backend", Text, nullable=False),
    Column("time_s", Float(53), nullable=False),
)

_SQLITE_FROZEN = (
    "CREATE TRIGGER IF NOT EXISTS {table}_no_{verb} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
)
_POSTGRESQL_FUNCTION = (
    "CREATE OR REPLACE FUNCTION rollcast_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$"
)
_POSTGRESQL_FROZEN = (
    "CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION rollcast_append_only()"
)


def _first(connection: Connection) -> None:
    METADATA.create_all(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(text(_POSTGRESQL_FUNCTION))
    for table in (RECORDS, DOCUMENTS):
        for verb in ("UPDATE", "DELETE"):
            statement = _POSTGRESQL_FROZEN if connection.dialect.name == "postgresql" else _SQLITE_FROZEN
            connection.execute(text(statement.format(table=table.name, verb=verb)))


def _moves(connection: Connection) -> None:
    MOVES.create(connection, checkfirst=True)


MIGRATIONS: list[Callable[[Connection], None]] = [_first, _moves]


def require_known(connection: Connection) -> int:
    """The version of the tables. Raises LedgerError when they are newer than this program."""
    known, there = len(MIGRATIONS), _version(connection)
    if there > known:
        raise LedgerError(f"The ledger has version {there}; this rollcast knows {known}. Use a newer rollcast.")
    return there


def migrate(connection: Connection) -> None:
    """Brings the tables to the newest version. Raises LedgerError when they are newer than this program."""
    known, there = len(MIGRATIONS), require_known(connection)
    for number in range(there, known):
        MIGRATIONS[number](connection)
    if there == 0:
        connection.execute(insert(VERSION).values(version=known))
    elif there < known:
        connection.execute(update(VERSION).values(version=known))


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table(VERSION.name):
        return 0
    return int(connection.execute(select(func.max(VERSION.c.version))).scalar() or 0)
