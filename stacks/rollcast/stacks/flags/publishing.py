"""Where a target's flags are published for relays that do not see its file: a database, S3, a cluster.

A place is written as a URL: `ledger#NAME` (the project's ledger database), `sqlite:///PATH#NAME`,
`postgresql+psycopg://…#NAME` (a row of the table `rollcast_definitions`), `s3://BUCKET/KEY`,
`kubernetes://NAMESPACE/CONFIGMAP`. `${NAME}` in it is a variable of the environment. It is written under the target's
lock by whoever holds its fencing token, whole or not at all, before the target's own file: so nothing is confirmed that
was not published.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from sqlalchemy import Column, Engine, Float, MetaData, String, Table, Text, insert, select, update
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from rollcast.stacks.base.databases import LEDGER_URL, engine_at, first_line, ledger_file
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.secrets import filled, without_password
from rollcast.stacks.clusters.published import PublishedConfigMap
from rollcast.stacks.flags.flag_documents import MOST_BYTES

DEFINITIONS = Table(
    "rollcast_definitions",
    MetaData(),
    Column("name", String(300), primary_key=True),
    Column("digest", String(80), nullable=False),
    Column("body", Text, nullable=False),
    Column("time_s", Float(53), nullable=False),
)
_TIMEOUT_S = 5.0
_DATABASES = ("sqlite", "postgresql")
_FORMS = (
    "'ledger#NAME', 'sqlite:///PATH#NAME', 'postgresql+psycopg://…#NAME', "
    "'s3://BUCKET/KEY' or 'kubernetes://NAMESPACE/CONFIGMAP'"
)


class PublishedPlace(Protocol):
    """One place that holds one text. `shown` names it without a secret."""

    shown: str

    def put(self, text: str) -> None:
        """Replaces the text. Raises StackError."""

    def get(self, seen: str = "") -> tuple[str, str] | None:
        """(tag, text), or None where the tag is still `seen`. Raises StackError where there is none, too."""


def place_of(url: str, folder: Path) -> PublishedPlace:
    """The place that a URL names; paths are below `folder`. Raises StackError where it names none."""
    scheme = urlsplit(url).scheme.partition("+")[0]
    if scheme == "s3":
        parts = urlsplit(url)
        if not parts.netloc or not parts.path.strip("/"):
            raise StackError(f"'{url}' names no object. Write s3://BUCKET/KEY.")
        return S3Object(parts.netloc, parts.path.lstrip("/"))
    if scheme == "kubernetes":
        return PublishedConfigMap(url, folder)
    address, _, name = url.partition("#")
    if (address == "ledger" or scheme in _DATABASES) and name:
        return DatabaseRow(_address(address, folder), name)
    raise StackError(f"'{without_password(url)}' is no place for flags. Write {_FORMS}.")


def _address(address: str, folder: Path) -> str:
    if address == "ledger":
        return os.environ.get(LEDGER_URL) or f"sqlite:///{ledger_file(folder)}"
    path = address.removeprefix("sqlite:///")
    return f"sqlite:///{folder / path}" if path != address else filled(address)


class DatabaseRow:
    """A row of a table in SQLite or PostgreSQL."""

    def __init__(self, address: str, name: str) -> None:
        self._address, self._name = address, name
        self.shown = f"{without_password(address)}#{name}"
        self._engine: Engine | None = None

    def put(self, text: str) -> None:
        values = {"digest": _digest(text), "body": text, "time_s": time.time()}
        try:
            with self._open().begin() as connection:
                DEFINITIONS.create(connection, checkfirst=True)
                own = DEFINITIONS.c.name == self._name
                if not connection.execute(update(DEFINITIONS).where(own).values(values)).rowcount:
                    connection.execute(insert(DEFINITIONS).values(name=self._name, **values))
        except (SQLAlchemyError, ImportError) as error:
            raise self._failed("written", error) from None

    def get(self, seen: str = "") -> tuple[str, str] | None:
        own, file = DEFINITIONS.c.name == self._name, self._address.removeprefix("sqlite:///")
        if file != self._address and not Path(file).exists():  # a look must not make it
            raise StackError(f"{self.shown} is not there. Run 'rollcast apply' with the target's 'publish'.")
        try:
            with self._open().connect() as connection:
                digest = connection.execute(select(DEFINITIONS.c.digest).where(own)).scalar()
                if digest == seen and seen:
                    return None
                row = connection.execute(select(DEFINITIONS.c.digest, DEFINITIONS.c.body).where(own)).first()
        except (SQLAlchemyError, ImportError) as error:
            raise self._failed("read", error) from None
        if row is None:
            raise StackError(f"{self.shown} holds no flags yet. Run 'rollcast apply' with the target's 'publish'.")
        if _digest(row.body) != row.digest:
            raise StackError(f"{self.shown} is not what its digest says: it was changed by hand. Run 'rollcast apply'.")
        return row.digest, row.body

    def _open(self) -> Engine:
        if self._engine is None:
            sqlite = self._address.startswith("sqlite")
            words: dict[str, Any] = (
                {"timeout": _TIMEOUT_S, "check_same_thread": False} if sqlite else {"connect_timeout": int(_TIMEOUT_S)}
            )
            self._engine = engine_at(self._address, connect_args=words, pool_pre_ping=True)
        return self._engine

    def _failed(self, what: str, error: Exception) -> StackError:
        why = "its URL is none" if isinstance(error, ArgumentError) else first_line(error)
        return StackError(f"{self.shown} can't be {what} ({why}). Correct it, or make the database reachable.")


class S3Object:
    """An object. Credentials, region and endpoint are found as boto3 does: environment, profile, the machine's role."""

    def __init__(self, bucket: str, key: str) -> None:
        self._bucket, self._key = bucket, key
        self.shown = f"s3://{bucket}/{key}"
        self._client: Any = None

    def put(self, text: str) -> None:
        body = text.encode()
        self._call("written", "put_object", Body=body, ContentType="application/json")

    def get(self, seen: str = "") -> tuple[str, str] | None:
        reply = self._call("read", "get_object", **({"IfNoneMatch": seen} if seen else {}))
        if reply is None:
            return None
        try:
            return str(reply["ETag"]), reply["Body"].read(MOST_BYTES + 1).decode()
        except UnicodeDecodeError:
            raise StackError(f"{self.shown} is no UTF-8. Run 'rollcast apply', or correct the key.") from None

    def _call(self, what: str, name: str, **words: Any) -> Any:
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise StackError("'boto3' is not installed. In a clone of rollcast: pip install '.[s3]'.") from None
        try:
            if self._client is None:
                settings = Config(
                    connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries={"total_max_attempts": 2}
                )
                self._client = boto3.client("s3", config=settings)
            return getattr(self._client, name)(Bucket=self._bucket, Key=self._key, **words)
        except (BotoCoreError, ClientError, ValueError) as error:
            status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 304:
                return None
            raise StackError(
                f"{self.shown} can't be {what} ({first_line(error)}). Correct the bucket, the key, or the right to it."
            ) from None


def _digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
