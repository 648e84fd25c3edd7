"""`git+https://HOST/REPOSITORY@REF#PATH` (and `git+ssh`, `git+file`): files of a commit.

REF is a branch, a tag or a commit; it is pinned to the commit. PATH is a file or folder in it; all of it when left out.
Git's own program does the work, with its own credentials. A commit's name is a SHA-1 of its content; what is pinned
besides is the SHA-256 of the files themselves, so that nothing rests on SHA-1.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.git_program import COMMIT, commit_of, git_environment, run_git
from rollcast.stacks.registries.http_client import userinfo_mistake
from rollcast.stacks.registries.sources import Found
from rollcast.stacks.registries.transfer import CHUNK, Transfer

_SOURCE = re.compile(r"(?P<address>//[^@#\s]*(?:@[^/@#\s]+(?=[:/]))?[^@#\s]*)@(?P<ref>[^@#\s]+)(?:#(?P<path>.+))?")
_LFS = b"version https://git-lfs.github.com/spec/"
_EXECUTABLE, _LINK, _MODULE = "100755", "120000", "160000"  # modes of a tree's entries


@dataclass(frozen=True)
class _Source:
    url: str
    ref: str
    path: str


class GitHttpsRegistry:
    """Repositories over HTTPS."""

    scheme = "git+https"

    def mistake(self, rest: str) -> str:
        found = _SOURCE.fullmatch(rest)
        shape = f"Write '{self.scheme}://…REPOSITORY@REF#PATH'."
        if found is None:
            return f"names no branch, tag or commit. {shape}"
        if found["ref"].startswith("-") or ".." in found["ref"]:
            return f"has '{found['ref']}' for a branch, tag or commit. {shape}"
        if ".." in (found["path"] or "").split("/") or (found["path"] or "").startswith(("/", ":", "-")):
            return f"has '{found['path']}' for a path, which leads out of the repository. {shape}"
        return userinfo_mistake(f"{self.scheme.removeprefix('git+')}:{found['address']}")

    def resolve(self, rest: str, project: Path) -> Found:
        source = self._parse(rest)
        commit = source.ref if COMMIT.fullmatch(source.ref) else commit_of(source.url, source.ref)
        path = f"#{source.path}" if source.path else ""
        address = source.url.partition(":")[2]
        return Found(f"{self.scheme}:{address}@{commit}{path}")

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        source = self._parse(rest)
        repository = into.parent / "repository"
        run_git(["init", "--quiet", "--bare", str(repository)], source.url)
        inside = ["-C", str(repository), "-c", "fetch.fsckObjects=true", "-c", "gc.auto=0"]
        try:
            run_git(
                [*inside, "fetch", "--quiet", "--depth", "1", "--no-tags", "--", source.url, source.ref], source.url
            )
        except StackError:  # a server that gives branches and tags alone
            everything = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
            run_git([*inside, "fetch", "--quiet", "--no-tags", "--", source.url, *everything], source.url)
        _write_files(repository, source, into, transfer)
        shutil.rmtree(repository, ignore_errors=True)

    def _parse(self, rest: str) -> _Source:
        found = _SOURCE.fullmatch(rest)
        if found is None:
            raise StackError(f"'{self.scheme}:{rest}' names no branch, tag or commit. Run 'rollcast validate'.")
        url = f"{self.scheme.removeprefix('git+')}:{found['address']}"
        return _Source(url, found["ref"], (found["path"] or "").strip("/"))


class GitSshRegistry(GitHttpsRegistry):
    """Repositories over SSH, with the user's own keys."""

    scheme = "git+ssh"


class GitFileRegistry(GitHttpsRegistry):
    """Repositories on this machine."""

    scheme = "git+file"


def _write_files(repository: Path, source: _Source, into: Path, transfer: Transfer) -> None:
    """The files of a commit below a path, each refused that is not content itself."""
    within = ["--", source.path] if source.path else []
    tree = ["ls-tree", "-r", "-z", "--full-tree", source.ref, *within]
    listing = run_git(["-C", str(repository), *tree], source.url)
    entries = [entry for entry in listing.decode("utf-8", "surrogateescape").split("\0") if entry]
    if not entries:
        raise StackError(f"{source.url} has no '{source.path or '.'}' in {source.ref[:12]}. Correct the path.")
    for entry in entries:
        about, _, name = entry.partition("\t")
        mode, _, blob = about.split(" ")
        if mode == _LINK:
            raise StackError(
                f"'{name}' is a symbolic link, and what is behind it may change. Commit the content itself."
            )
        if mode == _MODULE:
            raise StackError(f"'{name}' is a submodule, whose content is elsewhere. Name its own repository.")
        path = transfer.place_for(into, _below(name, source.path))
        transfer.write(path, _blob(repository, blob, name, source.url))
        path.chmod(0o755 if mode == _EXECUTABLE else 0o644)


def _below(name: str, path: str) -> str:
    """The name of a file within the artifact: below the folder that was named, or the one file's own."""
    return name.rpartition("/")[2] if name == path else name.removeprefix(f"{path}/" if path else "")


def _blob(repository: Path, blob: str, name: str, url: str) -> Iterator[bytes]:
    argv = ["git", "-C", str(repository), "cat-file", "blob", blob]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=git_environment()) as process:
        assert process.stdout is not None
        first = True
        while chunk := process.stdout.read(CHUNK):
            if first and chunk.startswith(_LFS):
                process.kill()
                raise StackError(
                    f"'{name}' of {url} is a pointer of Git LFS, not the content. Put the content into a registry, "
                    "or commit it itself."
                )
            first = False
            yield chunk
    if process.returncode:
        raise StackError(f"{url}: '{name}' can't be read. Try again.")


__all__ = ["GitFileRegistry", "GitHttpsRegistry", "GitSshRegistry"]
