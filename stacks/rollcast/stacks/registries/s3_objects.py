"""Objects of a bucket as they are now, or as they were: names, versions, and what S3 states of their content."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.s3_client import UNLISTED, refusals

_NONE = "null"  # how a bucket without versions calls its only one


@dataclass(frozen=True)
class StoredObject:
    """One version of one object. version: empty in a bucket without. sha256: in hex, where S3 states that of all."""

    key: str
    etag: str
    size: int
    changed_s: float
    version: str = ""
    sha256: str = ""

    def query(self, bucket: str) -> dict[str, Any]:
        """What gets this very content, and nothing else."""
        version = {"VersionId": self.version} if self.version else {}
        return {"Bucket": bucket, "Key": self.key, "IfMatch": f'"{self.etag}"', **version}


def one_object(
    client: Any, what: str, bucket: str, key: str, version: str = "", etag: str = "", moved: str = ""
) -> StoredObject:
    """An object as it is now, or one version of it. etag: what it must have. Raises StackError."""
    about = {**({"VersionId": version} if version else {}), **({"IfMatch": f'"{etag}"'} if etag else {})}
    with refusals(what, moved=moved):
        said = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **about)
    return StoredObject(
        key, said["ETag"].strip('"'), int(said["ContentLength"]), said["LastModified"].timestamp(),
        _version(said.get("VersionId")), _sha256_of(said),
    )  # fmt: skip


def objects_below(
    client: Any, what: str, bucket: str, prefix: str, at_s: float | None = None
) -> tuple[list[StoredObject], float]:
    """All objects below a prefix now, or as it was at a moment, by key; and when anything last changed there.

    Raises StackError. Where no versions can be listed there is no other moment than now.
    """
    newest: dict[str, StoredObject | None] = {}
    last_s = 0.0
    with refusals(what):
        try:
            for key, changed_s, found in _history(client, bucket, prefix):
                if at_s is None or changed_s <= at_s:
                    last_s = max(last_s, changed_s)
                    newest.setdefault(key, found)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in UNLISTED:
                raise
            for key, changed_s, found in _present(client, bucket, prefix):
                last_s, newest[key] = max(last_s, changed_s), found
    there = [found for key, found in sorted(newest.items()) if found is not None and not key.endswith("/")]
    return there, last_s


Change = tuple[str, float, StoredObject | None]  # a key, when it changed, and to what; None where it was deleted


def _history(client: Any, bucket: str, prefix: str) -> Iterator[Change]:
    """Every version of every object, the newest of each first."""
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        there: list[tuple[dict[str, Any], bool]] = [
            *((said, False) for said in page.get("Versions", ())),
            *((said, True) for said in page.get("DeleteMarkers", ())),
        ]
        there.sort(key=lambda one: (one[0]["Key"], not one[0]["IsLatest"], -_changed_s(one[0])))
        for said, deleted in there:
            yield said["Key"], _changed_s(said), None if deleted else _listed(said)


def _present(client: Any, bucket: str, prefix: str) -> Iterator[Change]:
    """Every object that is there now."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for said in page.get("Contents", ()):
            yield said["Key"], _changed_s(said), _listed(said)


def _listed(said: dict[str, Any]) -> StoredObject:
    version = _version(said.get("VersionId"))
    return StoredObject(said["Key"], said["ETag"].strip('"'), int(said["Size"]), _changed_s(said), version)


def _changed_s(said: dict[str, Any]) -> float:
    return float(said["LastModified"].timestamp())


def listing_digest(objects: Iterable[StoredObject]) -> str:
    """The digest of which objects there are in which version, in hex."""
    said = [[one.key, one.version, one.etag, one.size] for one in objects]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def moment(seconds: float) -> str:
    """A moment as an identity holds it, to the next millisecond."""
    return (
        datetime.fromtimestamp(math.ceil(seconds * 1000) / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def seconds_of(text: str) -> float:
    """Raises StackError: it is no moment."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise StackError(f"'{text}' is no moment. Run 'rollcast lock' again.") from None


def _version(said: str | None) -> str:
    return "" if said in (None, _NONE) else str(said)


def _sha256_of(said: dict[str, Any]) -> str:
    """What S3 states of all of an object. That of an object in parts is of their digests, and is not used."""
    if "-" in said["ETag"]:
        return ""
    stated = str(said.get("ChecksumSHA256", ""))
    try:
        found = base64.b64decode(stated, validate=True)
    except (ValueError, binascii.Error):
        return ""
    return found.hex() if len(found) == 32 and said.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT" else ""


__all__ = ["StoredObject", "listing_digest", "moment", "objects_below", "one_object", "seconds_of"]
