"""Telemetry in a table: `kind: sql`, `url` with the database, `path` with the table.

Columns are the fields of a telemetry record (`time`, `request`, `key`, `release`, outcome fields…); `components` and
`attributes` hold JSON as text. A column `id` that only grows separates new rows from old ones: rows whose transaction
commits out of order are found by looking back a little, and count once, because each request does. The password
belongs in the environment: `${NAME}` in the url is replaced by that variable.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import Field
from sqlalchemy import Column, Engine, MetaData, Table, func, select
from sqlalchemy.exc import SQLAlchemyError

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.databases import engine_at, first_line
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.secrets import filled
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetryBatch
from rollcast.stacks.telemetry.records import request_of

_MOST_ROWS = 20_000
_LOOK_BACK = 1_000


class SqlSettings(Settings):
    """A table in a database."""

    url: str = Field(min_length=1, description="the database, for example postgresql+psycopg://host/db")
    path: str = Field(min_length=1, description="the table")


class Sql:
    """A table of telemetry records."""

    settings_model = SqlSettings

    knows_requests = True

    def __init__(self, settings: SqlSettings, root: Path) -> None:
        self._name = settings.path
        self._made: tuple[Engine, Table] | None = None
        self._url = filled(settings.url)
        self._seen: set[int] = set()
        self._floor: int | None = None  # where this process began to read

    def _open(self) -> tuple[Engine, Table]:
        if self._made is None:
            engine = engine_at(self._url, pool_pre_ping=True)
            table = Table(self._name, MetaData(), autoload_with=engine)
            missing = [name for name in ("id", "time", "request", "release") if name not in table.c]
            if missing:
                raise StackError(f"Table {self._name} has no column {', '.join(missing)}. Add what telemetry needs.")
            self._made = engine, table
        return self._made

    def end(self) -> Cursor:
        return {"id": self._scalar()}

    def _scalar(self) -> int:
        try:
            engine, table = self._open()
            with engine.connect() as connection:
                return int(connection.execute(select(func.max(table.c.id))).scalar() or 0)
        except SQLAlchemyError as error:
            raise self._unreachable(error) from None

    def read(self, cursor: Cursor, until: Cursor | None = None) -> TelemetryBatch:
        last = int(cursor.get("id", 0))
        try:
            engine, table = self._open()
            self._floor = last if self._floor is None else self._floor
            query = select(table).where(table.c.id > max(last - _LOOK_BACK, self._floor)).order_by(table.c.id)
            if until is not None:
                query = query.where(table.c.id <= int(until.get("id", 0)))
            with engine.connect() as connection:
                rows = connection.execute(query.limit(_MOST_ROWS)).mappings().all()
        except SQLAlchemyError as error:
            raise self._unreachable(error) from None
        batch = TelemetryBatch(
            cursor={"id": max([last, *(int(row["id"]) for row in rows)])}, more=len(rows) == _MOST_ROWS
        )
        for row in rows:
            if int(row["id"]) in self._seen:
                continue
            self._seen.add(int(row["id"]))
            found = request_of(_record(dict(row)))
            if found is None:
                batch.unreadable += 1
            else:
                batch.requests.append(found)
        self._seen = {number for number in self._seen if number > batch.cursor["id"] - 2 * _LOOK_BACK}
        return batch

    def find(self, request: str) -> RequestRecord | None:
        try:
            engine, table = self._open()
            column: Column[Any] = table.c.request
            with engine.connect() as connection:
                row = connection.execute(select(table).where(column == request).limit(1)).mappings().first()
        except SQLAlchemyError as error:
            raise self._unreachable(error) from None
        return request_of(_record(dict(row))) if row else None

    def _unreachable(self, error: Exception) -> StackError:
        return StackError(
            f"Telemetry table {self._name} can't be read ({first_line(error)}). "
            "Correct the telemetry's url, or make the database reachable."
        )


def _record(row: dict[str, Any]) -> dict[str, Any]:
    """A row as a telemetry record: JSON columns opened, nulls and the row's own number left out."""
    record = {name: value for name, value in row.items() if value is not None and name != "id"}
    for name in ("components", "attributes"):
        if isinstance(record.get(name), str):
            try:
                record[name] = json.loads(record[name])
            except (ValueError, RecursionError):
                del record[name]
    return record
