"""A server that speaks the API of the Hugging Face Hub, as its own client expects it (see `test_hf`).

Large files are redirected to a second server on another port, as the Hub does with its content delivery network.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from tests.registries.api import ApiServer, Asked, Reply, said

_LARGE = (".bin", ".safetensors")
_PAGE = 3  # files on a page of a list
_API = re.compile(r"/api/(models|datasets)/(.+?)/(revision|tree)/([^/]+(?:/pr/\d+)?)")
_FILE = re.compile(r"/(?:(datasets)/)?(.+?)/resolve/([^/]+)/(.+)")
_CHECK = re.compile(r"/api/(models|datasets)/(.+)/auth-check")


@dataclass
class Repository:
    """commits: name -> path -> content, the newest last. refs: branch or tag -> commit."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    private: bool = False
    gated: bool = False


class Hub(ApiServer):
    """repositories: 'ORG/REPO' or 'datasets/ORG/REPO' -> what is in it. token: that of the one who may read all."""

    token = "hf_secret"

    def __init__(self) -> None:
        super().__init__()
        self.repositories: dict[str, Repository] = {}
        self.cdn = ApiServer()

    def __enter__(self) -> Hub:
        super().__enter__()
        self.cdn.__enter__()
        return self

    def __exit__(self, *about: object) -> None:
        self.cdn.__exit__(*about)
        super().__exit__(*about)

    def commit(self, name: str, files: dict[str, bytes], ref: str = "main") -> str:
        """Puts files as the newest commit of a branch; gives its name."""
        repository = self.repositories.setdefault(name, Repository())
        commit = hashlib.sha1(repr((len(repository.commits), sorted(files.items()))).encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.refs[ref] = commit
        return commit

    # ---- answers ------------------------------------------------------------------------------

    def reply(self, asked: Asked) -> Reply:
        if found := _CHECK.fullmatch(asked.path):
            repository, wrong = self._open(found[1], found[2], asked, files=True)
            return wrong or Reply(200, b"OK")
        if found := _API.fullmatch(asked.path):
            repository, wrong = self._open(found[1], found[2], asked)
            commit = repository.refs.get(found[4], found[4])
            if not wrong and commit not in repository.commits:
                wrong = said({"error": f"Invalid rev id: {found[4]}"}, 404, X_Error_Code="RevisionNotFound")
            if wrong:
                return wrong
            files = repository.commits[commit]
            if found[3] == "tree":
                return self._tree(asked, files)
            return said(
                {
                    "_id": "6", "id": found[2], "author": found[2].partition("/")[0], "sha": commit, "downloads": 1,
                    "lastModified": "2026-11-02T10:00:00.000Z", "createdAt": "2026-11-01T10:00:00.000Z", "likes": 0,
                    "private": repository.private, "gated": "manual" if repository.gated else False, "tags": [],
                    "disabled": False, "siblings": [{"rfilename": path} for path in files],
                    "cardData": repository.card,
                }
            )  # fmt: skip
        if found := _FILE.fullmatch(asked.path):
            repository, wrong = self._open(found[1] or "models", found[2], asked, files=True)
            if wrong:
                return wrong
            commit = repository.refs.get(found[3], found[3])
            body = repository.commits.get(commit, {}).get(found[4])
            if body is None:
                return said({"error": "Entry not found"}, 404, X_Error_Code="EntryNotFound")
            return self._file(found[4], commit, body)
        return said({"error": "Not Found"}, 404)

    def _open(self, kind: str, name: str, asked: Asked, files: bool = False) -> tuple[Repository, Reply | None]:
        """A repository, or how the Hub refuses it: what may not be read is as what is not there."""
        repository = self.repositories.get(f"datasets/{name}" if kind == "datasets" else name)
        known = asked.authorization == f"Bearer {self.token}"
        if repository is None or (repository.private and not known):
            status = 404 if known else 401
            return Repository(), said({"error": "Repository not found"}, status, X_Error_Code="RepoNotFound")
        if repository.gated and files and not known:
            return repository, said({"error": f"Access to {name} is restricted."}, 401, X_Error_Code="GatedRepo")
        return repository, None

    def _tree(self, asked: Asked, files: dict[str, bytes]) -> Reply:
        """One page of a list of files, with the folders in it."""
        folders = {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}
        entries = [_entry(path, files.get(path)) for path in sorted((*files, *folders))]
        begin = int(asked.query.get("cursor", "0"))
        following = begin + _PAGE
        if following >= len(entries):
            return said(entries[begin:])
        url = f"{self.address}{asked.path}?recursive=True&cursor={following}"
        return said(entries[begin:following], Link=f'<{url}>; rel="next"')

    def _file(self, path: str, commit: str, body: bytes) -> Reply:
        about = {"x-repo-commit": commit, "accept-ranges": "bytes"}
        if not path.endswith(_LARGE):
            return Reply(200, body, {**about, "etag": f'"{git_blob(body)}"'})
        digest = hashlib.sha256(body).hexdigest()
        self.cdn.files[f"/{digest}"] = body
        linked = {"x-linked-etag": f'"{digest}"', "x-linked-size": str(len(body))}
        return Reply(302, b"", {**about, **linked, "location": f"{self.cdn.address}/{digest}"})


def _entry(path: str, body: bytes | None) -> dict[str, Any]:
    """One line of a list of files; a folder without a body."""
    if body is None:
        return {"type": "directory", "oid": git_blob(path.encode()), "size": 0, "path": path}
    if not path.endswith(_LARGE):
        return {"type": "file", "oid": git_blob(body), "size": len(body), "path": path}
    digest = hashlib.sha256(body).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(body)}\n".encode()
    lfs = {"oid": digest, "size": len(body), "pointerSize": len(pointer)}
    return {"type": "file", "oid": git_blob(pointer), "size": len(body), "path": path, "lfs": lfs}


def git_blob(body: bytes) -> str:
    """Git's name of some content."""
    return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()


__all__ = ["Hub", "Repository", "git_blob"]
