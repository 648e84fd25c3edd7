"""The API of the Hugging Face Hub: who may read a repository, what its names stand for, and its list of files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.http_client import Answer, http_client, request
from rollcast.stacks.registries.limits import Limits
from rollcast.stacks.registries.transfer import leads_out

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PAGES = 2_000  # of one list; the Hub writes 1,000 files on each


@dataclass(frozen=True)
class HubSource:
    repository: str  # with 'datasets/' in front where it is one
    revision: str
    path: str

    @property
    def api(self) -> str:
        """Where the Hub's API has it."""
        return f"api/{self.repository}" if self.repository.startswith("datasets/") else f"api/models/{self.repository}"


@dataclass(frozen=True)
class HubFile:
    """One file of a commit. name: below the artifact. path: in the repository. digest: `sha256:…` or `git-blob:…`."""

    name: str
    path: str
    digest: str
    size: int


def hub_client() -> AbstractContextManager[httpx.Client]:
    """A client of the Hub, with the user's token, which httpx sends to no other host. Raises StackError."""
    endpoint = os.environ.get("HF_ENDPOINT", "").strip() or "https://huggingface.co"
    if not endpoint.startswith(("https://", "http://")):
        raise StackError("HF_ENDPOINT is no address of http or https. Correct it, or unset it.")
    token = _token()
    return http_client(
        base_url=endpoint.rstrip("/") + "/", headers={"authorization": f"Bearer {token}"} if token else {}
    )


def _token() -> str:
    """The user's token, found where the Hub's own tools find it; empty without one."""
    said = os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN")
    if said:
        return said.strip()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(os.path.expandvars(os.environ.get("HF_HOME") or cache / "huggingface")).expanduser()
    path = Path(os.path.expandvars(os.environ.get("HF_TOKEN_PATH") or home / "token")).expanduser()
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def revision_of(client: httpx.Client, source: HubSource) -> tuple[str, dict[str, Any]]:
    """The commit that a branch or tag stands for now, and what else the Hub says of it. Raises StackError."""
    answer = request(client, "GET", f"{client.base_url}{source.api}/revision/{quote(source.revision, safe='')}")
    _require_found(client, source, answer)
    about = answer.json(host_of(client))
    commit = about.get("sha") if isinstance(about, dict) else None
    if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
        raise StackError(f"{host_of(client)} names no commit for '{source.revision}'. Check HF_ENDPOINT.")
    return commit, about


def require_access(client: httpx.Client, source: HubSource) -> None:
    """Lists of gated repositories are open to all, their files are not. Raises StackError."""
    answer = request(client, "GET", f"{client.base_url}{source.api}/auth-check")
    if answer.status in (401, 403):  # anything else is that of a server which does not know the question
        _require_found(client, source, answer)


def _require_found(client: httpx.Client, source: HubSource, answer: Answer) -> None:
    host = host_of(client)
    why = answer.headers.get("x-error-code", "")
    if why == "GatedRepo":
        raise StackError(
            f"{source.repository} is gated, and {host} does not give it to you. Ask for access on its page, "
            "then run 'hf auth login' or set HF_TOKEN."
        )
    if why == "RevisionNotFound" or (answer.status == 404 and why != "RepoNotFound"):
        raise StackError(f"{source.repository} has no '{source.revision}' on {host}. Correct it, or push it.")
    if answer.status in (401, 403) or why == "RepoNotFound":
        raise StackError(
            f"{host} has no {source.repository} that you may read. Correct its name; where it is private, "
            "run 'hf auth login' or set HF_TOKEN."
        )
    if answer.status != 200:
        raise StackError(f"{host} answered {answer.status}. Check HF_ENDPOINT.")


def files_of(client: httpx.Client, source: HubSource) -> list[HubFile]:
    """All files of a commit below a path, in order of name. Raises StackError."""
    files = []
    for entry in _entries_of(client, source):
        file = _file_of(entry, source.path, host_of(client))
        if file is not None:
            files.append(file)
    if not files:
        raise StackError(
            f"{source.repository} has no '{source.path or '.'}' in {source.revision[:12]}. Correct the path."
        )
    return sorted(files, key=lambda file: file.name)


def _entries_of(client: httpx.Client, source: HubSource) -> Iterator[Any]:
    """Every line of a commit's list, page by page. Raises StackError: it has no end, or goes on at another server."""
    host, most = host_of(client), Limits.from_environment().files
    url = httpx.URL(f"{client.base_url}{source.api}/tree/{source.revision}?recursive=true")
    home, count = (url.scheme, url.netloc), 0
    for _ in range(_PAGES):
        answer = request(client, "GET", str(url))
        _require_found(client, source, answer)
        page = answer.json(host)
        if not isinstance(page, list):
            raise StackError(f"{host} answered with no list of files. Check HF_ENDPOINT.")
        yield from page
        count += len(page)
        link = httpx.Response(200, headers=dict(answer.headers)).links.get("next", {}).get("url")
        if not link:
            return
        url = url.join(link)
        if (url.scheme, url.netloc) != home:
            raise StackError(f"{host} says that its list of files goes on at {url.host}. Check HF_ENDPOINT.")
        if not page or count > most:
            break
    raise StackError(
        f"{host} lists files of {source.repository} without an end. "
        f"Set ROLLCAST_MAX_FILES if more than {most:,} are meant."
    )


def _file_of(entry: Any, below: str, host: str) -> HubFile | None:
    """A file of the list; None for folders, and for what is not below a path. Raises StackError."""
    try:
        if entry["type"] != "file":
            return None
        path, size, lfs = entry["path"], entry["size"], entry.get("lfs")
        digest, known = (f"sha256:{lfs['oid']}", _SHA256) if lfs else (f"git-blob:{entry['oid']}", _COMMIT)
        if lfs:
            size = lfs["size"]
        path.encode()
        if not isinstance(path, str) or not isinstance(size, int) or size < 0:
            raise TypeError("path and size")
        if not known.fullmatch(digest.partition(":")[2]):
            raise ValueError("oid")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StackError(f"{host} lists a file that can't be read ({error}). Check HF_ENDPOINT.") from None
    if leads_out(path):
        raise StackError(f"{host} lists '{path}', a path that leads out of its folder. See who put it there.")
    if below and path != below and not path.startswith(f"{below}/"):
        return None
    name = path.rpartition("/")[2] if path == below else path.removeprefix(f"{below}/" if below else "")
    return HubFile(name, path, digest, size)


def host_of(client: httpx.Client) -> str:
    """The server that a client speaks to, for messages."""
    return client.base_url.netloc.decode()


__all__ = ["HubFile", "HubSource", "files_of", "host_of", "hub_client", "require_access", "revision_of"]
