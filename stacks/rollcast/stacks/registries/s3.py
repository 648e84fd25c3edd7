"""`s3://BUCKET/KEY` and `s3://BUCKET/PREFIX/`: an object of S3, or all objects below a prefix.

In a bucket with versions an object is pinned to its version, `?versionId=…`, and a prefix to what was below it at a
moment. Without versions an object is pinned to its ETag, and is refused once it was overwritten. The digest is S3's own
SHA-256 of an object where it keeps one; all else is fetched and digested when it is locked. `?`, `#` and `%` in a key
are written %3F, %23 and %25. Addresses and credentials are those of AWS's own tools.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.s3_client import chunks, s3_client
from rollcast.stacks.registries.s3_objects import (
    StoredObject,
    listing_digest,
    moment,
    objects_below,
    one_object,
    seconds_of,
)
from rollcast.stacks.registries.sources import Found
from rollcast.stacks.registries.transfer import Transfer

_SOURCE = re.compile(
    r"//(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>[^?#\s]*)(?:\?versionId=(?P<version>[\w.~+/=-]+))?"
    r"(?:#(?:etag=(?P<etag>[\w.-]+)|listing=sha256:(?P<listing>[0-9a-f]{64})&at=(?P<at>[\dT:.Z-]+)))?",
    re.ASCII,
)
_SHAPE = "Write 's3://BUCKET/KEY', 's3://BUCKET/KEY?versionId=VERSION', or 's3://BUCKET/PREFIX/' for all that is below."
_GONE = (
    "it was overwritten since it was locked, and the bucket keeps no versions of it. "
    "'rollcast lock' pins what is there now."
)


@dataclass(frozen=True)
class _Source:
    bucket: str
    key: str
    version: str
    etag: str
    listing: str
    at: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{quote(self.key)}"


class S3Registry:
    """Objects of S3, and of what speaks its protocol."""

    def mistake(self, rest: str) -> str:
        found = _parse(rest)
        return found if isinstance(found, str) else ""

    def resolve(self, rest: str, project: Path) -> Found:
        source = _source(rest)
        client = s3_client()
        if _is_folder(source):
            there, at = _below(client, source)
            if not there:
                raise StackError(f"{source}: there is no object below it. Correct the prefix, or put them there.")
            pinned = f"{source}#listing=sha256:{listing_digest(there)}&at={moment(at)}"
            return Found(pinned, "", sum(one.size for one in there), at)
        found = one_object(client, str(source), source.bucket, source.key, source.version, source.etag, _GONE)
        version = f"?versionId={found.version}" if found.version else f"#etag={found.etag}"
        digest = f"sha256:{found.sha256}" if found.sha256 else ""
        return Found(f"{source}{version}", digest, found.size, found.changed_s)

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        source = _source(rest)
        client = s3_client()
        if not _is_folder(source):
            found = one_object(client, str(source), source.bucket, source.key, source.version, source.etag, _GONE)
            digest = pin.digest.partition(":")[2] if pin.covers == "manifest" else ""
            self._get(client, source, found, transfer.place_for(into, PurePosixPath(source.key).name), transfer, digest)
            return
        there, _ = _below(client, source)
        for one in there:
            self._get(client, source, one, transfer.place_for(into, one.key.removeprefix(source.key)), transfer)

    def _get(
        self, client: Any, source: _Source, found: StoredObject, path: Path, transfer: Transfer, sha256: str = ""
    ) -> None:
        about = found.query(source.bucket)
        what = f"s3://{source.bucket}/{quote(found.key)}"
        key = f"{what}?{found.version}#{found.etag}"
        transfer.collect(
            path, lambda at: chunks(client, what, about, at, _GONE) if at < found.size or not at else (),
            f"s3://{source.bucket}", key=key, sha256=sha256, size=found.size,
        )  # fmt: skip


def _below(client: Any, source: _Source) -> tuple[list[StoredObject], float]:
    """What is below a prefix, as it was where that is pinned; and since when. Raises StackError."""
    at_s = seconds_of(source.at) if source.at else None
    there, last_s = objects_below(client, str(source), source.bucket, source.key, at_s)
    if source.listing and listing_digest(there) != source.listing:
        raise StackError(
            f"{source}: what is below it was changed since it was locked, and what was there is not kept in full. "
            "'rollcast lock' pins what is there now."
        )
    return there, last_s


def _parse(rest: str) -> _Source | str:
    """The parts of a source, or what is wrong with it."""
    found = _SOURCE.fullmatch(rest)
    if found is None:
        return f"names no bucket and key, or not as S3 writes them. {_SHAPE}"
    key = unquote(found["key"])
    if not key:
        return f"names all of a bucket. Name a key, or a prefix with '/' at its end. {_SHAPE}"
    if key.endswith("/") and (found["version"] or found["etag"]):
        return f"names a version of a prefix, and only objects have versions. {_SHAPE}"
    if not key.endswith("/") and found["listing"]:
        return f"names the listing of an object, and only a prefix has one. {_SHAPE}"
    return _Source(found["bucket"], key, *(found[each] or "" for each in ("version", "etag", "listing", "at")))


def _source(rest: str) -> _Source:
    found = _parse(rest)
    if isinstance(found, str):
        raise StackError(f"'s3:{rest}' {found}")
    return found


def _is_folder(source: _Source) -> bool:
    return source.key.endswith("/")


__all__ = ["S3Registry"]
