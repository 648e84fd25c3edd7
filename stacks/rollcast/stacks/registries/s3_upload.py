"""A file into S3 as a version that can be locked: never over another one, checked by S3 with its SHA-256."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from urllib.parse import quote, urlsplit

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.s3_client import refusals, s3_client

_SHAPE = "Write s3://BUCKET/KEY, the place of the new object."
_MOST_BYTES = 5 * 1024**3  # of one object that is put at once


def upload(file: Path, url: str) -> str:
    """Puts a file where nothing is yet; gives the source of a declaration that names exactly it. Raises StackError.

    In a bucket with versions the source has the version. In one without, a later object of that key is refused by its
    ETag, which the lock keeps. Of two that are put at one time, one is refused where S3 has conditional writes.
    """
    parts = urlsplit(url)
    bucket, key = parts.netloc, parts.path.lstrip("/")
    if parts.scheme != "s3" or not bucket or not key or key.endswith("/") or parts.query or parts.fragment:
        raise StackError(f"'{url}' is no place for a file. {_SHAPE}")
    if file.stat().st_size > _MOST_BYTES:
        raise StackError(f"{file} has over 5 GiB, more than S3 takes at once. Upload it with AWS's own tools.")
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256")
    client = s3_client()
    taken = f"something is there already, and a version is never overwritten. Choose another key than '{key}'."
    with refusals(url, moved=taken), file.open("rb") as content:
        put = client.put_object(
            Bucket=bucket,
            Key=key,
            Body=content,
            IfNoneMatch="*",
            ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
        )
    version = put.get("VersionId")
    return f"s3://{bucket}/{quote(key)}" + (f"?versionId={version}" if version and version != "null" else "")


__all__ = ["upload"]
