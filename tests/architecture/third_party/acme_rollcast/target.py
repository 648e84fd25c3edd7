"""`kind: drawer`: flags and instances in one class, in one SQLite file; each write one transaction under its fence."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.flags import Holding
from rollcast.stacks.instances import InstanceSpec, Placed, Provisioning, is_to_hand_over

TABLES = ("fence", "flags", "placed", "holdings", "documents")


class DrawerSettings(Settings):
    """One file."""

    file: str
    wait_s: int = 5


class Drawer:
    """A SQLite file as a target."""

    settings_model = DrawerSettings
    addressed = False

    def __init__(self, settings: DrawerSettings, root: Path, scope: str = "") -> None:
        self._path, self._wait_s, self._scope = root / settings.file, settings.wait_s, scope
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            for table in TABLES:
                database.execute(f"create table if not exists {table} (name text primary key, body text not null)")

    @property
    def place(self) -> str:
        return f"drawer:{self._path}"

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self._path, timeout=self._wait_s, isolation_level=None)
        try:
            yield database
        except sqlite3.Error as error:
            raise StackError(f"{self._path} can't be used ({error}). Restore it.") from None
        finally:
            database.close()

    @contextmanager
    def _write(self, fence: int) -> Iterator[sqlite3.Connection]:
        with self._open() as database:
            database.execute("begin immediate")
            newest = self._fence(database)
            if fence < newest:
                raise FenceError(f"Fencing token {fence} is older than {newest}. See 'rollcast status'.")
            _put(database, "fence", self._scope, str(fence))
            yield database
            database.execute("commit")

    def _fence(self, database: sqlite3.Connection) -> int:
        row = database.execute("select body from fence where name = ?", (self._scope,)).fetchone()
        return int(row[0]) if row else 0

    def _all(self, table: str) -> dict[str, str]:
        with self._open() as database:
            return dict(database.execute(f"select name, body from {table} order by name"))

    def claim(self, fence: int) -> None:
        with self._write(fence):
            pass

    def newest(self) -> int:
        with self._open() as database:
            return self._fence(database)

    def flag(self, key: str) -> dict[str, Any] | None:
        return self.flags().get(key)

    def flags(self) -> dict[str, Any]:
        return {key: json.loads(body) for key, body in self._all("flags").items()}

    def put_flag(self, fence: int, key: str, flag: Mapping[str, Any] | None) -> None:
        with self._write(fence) as database:
            _put(database, "flags", key, None if flag is None else json.dumps(flag))

    def placed(self) -> dict[str, Placed]:
        return {name: Placed.model_validate_json(body) for name, body in self._all("placed").items()}

    def down(self) -> dict[str, str]:
        return {}

    def content(self, folder: str) -> Path | None:
        return None

    def put_instance(self, fence: int, placed: Placed, content: Path, spec: InstanceSpec, watch: Provisioning) -> None:
        if not content.is_dir():
            raise StackError(f"{content} is no folder.")
        with self._write(fence) as database:
            if _is_of_another(database, placed.folder, placed.owner):
                raise StackError(f"Instance {placed.folder} is that of another owner. Choose another name.")
            _put(database, "placed", placed.folder, placed.model_dump_json())

    def remove_instance(self, fence: int, folder: str, owner: str = "") -> None:
        with self._write(fence) as database:
            if not _is_of_another(database, folder, owner):
                _put(database, "placed", folder, None)

    def hand_over(self, fence: int, folder: str, before: str, owner: str) -> None:
        with self._write(fence) as database:
            found = self.placed().get(folder)
            if is_to_hand_over(found, before, owner) and found is not None:
                _put(database, "placed", folder, found.model_copy(update={"owner": owner}).model_dump_json())

    def holdings(self) -> dict[str, Holding]:
        return {name: Holding.model_validate_json(body) for name, body in self._all("holdings").items()}

    def put_holding(self, fence: int, pipelines: Collection[str], holding: Holding) -> None:
        with self._write(fence) as database:
            for pipeline in pipelines:
                _put(database, "holdings", pipeline, holding.model_dump_json())

    def document(self, digest: str) -> Any:
        body = self._all("documents").get(digest, "")
        if "sha256:" + hashlib.sha256(body.encode()).hexdigest() != digest:
            raise StackError(f"{digest} is not in {self._path}. Restore it.")
        return json.loads(body)

    def put_document(self, fence: int, digest: str, body: str) -> None:
        with self._write(fence) as database:
            _put(database, "documents", digest, body)


def _is_of_another(database: sqlite3.Connection, folder: str, owner: str) -> bool:
    row = database.execute("select body from placed where name = ?", (folder,)).fetchone()
    found = Placed.model_validate_json(row[0]).owner if row else ""
    return bool(owner and found and found != owner)


def _put(database: sqlite3.Connection, table: str, name: str, body: str | None) -> None:
    database.execute(f"delete from {table} where name = ?", (name,))
    if body is not None:
        database.execute(f"insert into {table} values (?, ?)", (name, body))
