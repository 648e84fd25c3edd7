"""`hf:ORG/REPO@REVISION#PATH`: files of a repository on the Hugging Face Hub, or on another server that speaks its API.

`hf:datasets/ORG/REPO@REVISION` is a dataset. REVISION is a branch, a tag or a commit; it is pinned to the commit. PATH
is a file or folder in it; all of it when left out. What is pinned besides is the digest of the commit's list of files:
large files (LFS) stand in it with their SHA-256, small ones with Git's name of their content, which is a SHA-1, and
their size. Address and token are those of the Hub's own tools: HF_ENDPOINT, HF_TOKEN, and what `hf auth login` writes.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rollcast.planner.declaration.models import SourcePin
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.hub import (
    HubFile,
    HubSource,
    files_of,
    host_of,
    hub_client,
    require_access,
    revision_of,
)
from rollcast.stacks.registries.sources import Found
from rollcast.stacks.registries.transfer import CHUNK, Transfer, leads_out

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_SOURCE = re.compile(
    rf"(?P<repository>(?:datasets/{_NAME}/|(?:{_NAME}/)?){_NAME})@(?P<revision>[^@#\s]+)(?:#(?P<path>.+))?"
)
_SHAPE = "Write 'hf:ORG/REPO@REVISION', or 'hf:datasets/ORG/REPO@REVISION' for a dataset."


class HfRegistry:
    """Repositories on the Hub."""

    def mistake(self, rest: str) -> str:
        found = _SOURCE.fullmatch(rest)
        if found is None:
            return f"is no repository with a branch, tag or commit. {_SHAPE}"
        if ".." in found["revision"] or found["revision"].startswith(("-", "/")):
            return f"has '{found['revision']}' for a branch, tag or commit. {_SHAPE}"
        if found["path"] and leads_out(found["path"]):
            return f"has '{found['path']}' for a path, which leads out of the repository. {_SHAPE}"
        return ""

    def resolve(self, rest: str, project: Path) -> Found:
        source = _parse(rest)
        with hub_client() as client:
            commit, about = revision_of(client, source)
            pinned = HubSource(source.repository, commit, source.path)
            files = files_of(client, pinned)
            require_access(client, pinned)
        path = f"#{source.path}" if source.path else ""
        return Found(
            identity=f"hf:{source.repository}@{commit}{path}",
            digest=_digest_of(files),
            size=sum(file.size for file in files),
            pushed_s=_seconds(about.get("lastModified")),
            lineage=_lineage_of(about),
        )

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        source = _parse(rest)
        with hub_client() as client:
            files = files_of(client, source)
            if _digest_of(files) != pin.digest:
                raise StackError(
                    f"{transfer.what}: {host_of(client)} lists other files in {source.revision[:12]} than the lock "
                    "pins. Nothing of them is kept. See who changed them there."
                )
            require_access(client, source)
            prefix = f"{source.repository}/resolve/{source.revision}"
            for file in files:
                path = transfer.place_for(into, file.name)
                kind, _, value = file.digest.partition(":")
                sha256 = value if kind == "sha256" else ""
                url = f"{client.base_url}{prefix}/{quote(file.path)}"
                transfer.download(client, url, path, sha256=sha256, size=file.size)
                if not sha256 and _git_blob(path) != value:
                    raise StackError(
                        f"{transfer.what}: {file.path} is not what its list of files states (Git blob {value[:12]}…). "
                        "Nothing of it is kept. See who changed it there."
                    )


def _digest_of(files: list[HubFile]) -> str:
    return digest_of([[file.name, file.digest, file.size] for file in files])


def _git_blob(path: Path) -> str:
    """Git's name of a file's content."""
    found = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _lineage_of(about: dict[str, Any]) -> tuple[str, ...]:
    """The models and datasets that a repository's card says that it was made from."""
    card = about.get("cardData")
    if not isinstance(card, dict):
        return ()
    found: list[str] = []
    for key, prefix in (("base_model", "hf:"), ("datasets", "hf:datasets/")):
        said = card.get(key)
        found.extend(
            f"{prefix}{one}" for one in ([said] if isinstance(said, str) else said or ()) if isinstance(one, str)
        )
    return tuple(found)


def _seconds(said: Any) -> float | None:
    try:
        return datetime.fromisoformat(said).timestamp()
    except (TypeError, ValueError):
        return None


def _parse(rest: str) -> HubSource:
    found = _SOURCE.fullmatch(rest)
    if found is None:
        raise StackError(f"'hf:{rest}' is no repository with a branch, tag or commit. Run 'rollcast validate'.")
    return HubSource(found["repository"], found["revision"], (found["path"] or "").strip("/"))


__all__ = ["HfRegistry"]
