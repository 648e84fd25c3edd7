"""`git+https://HOST/REPOSITORY@REF#PATH` (and `git+ssh`, `git+file`): files of a commit.

REF is a branch, a tag or a commit; it is pinned to the commit. PATH is a file or folder in it; all of it when left out.
Git's own program does the work, with its own credentials. A commit's name is a SHA-1 of its content; what is pinned
besides is the SHA-256 of the files themselves, so that nothing rests on SHA-1.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.http_client import userinfo_mistake
from rollcast.stacks.registries.limits import Limits
from rollcast.stacks.registries.sources import Found
from rollcast.stacks.registries.transfer import CHUNK, Transfer

_SOURCE = re.compile(r"(?P<address>//[^@#\s]*(?:@[^/@#\s]+(?=[:/]))?[^@#\s]*)@(?P<ref>[^@#\s]+)(?:#(?P<path>.+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
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
        commit = source.ref if _COMMIT.fullmatch(source.ref) else _commit_of(source)
        path = f"#{source.path}" if source.path else ""
        address = source.url.partition(":")[2]
        return Found(f"{self.scheme}:{address}@{commit}{path}")

    def fetch(self, rest: str, pin: SourcePin, into: Path, transfer: Transfer) -> None:
        source = self._parse(rest)
        repository = into.parent / "repository"
        _git(["init", "--quiet", "--bare", str(repository)], source.url)
        inside = ["-C", str(repository), "-c", "fetch.fsckObjects=true", "-c", "gc.auto=0"]
        try:
            _git([*inside, "fetch", "--quiet", "--depth", "1", "--no-tags", "--", source.url, source.ref], source.url)
        except StackError:  # a server that gives branches and tags alone
            everything = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
            _git([*inside, "fetch", "--quiet", "--no-tags", "--", source.url, *everything], source.url)
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


def _commit_of(source: _Source) -> str:
    """The commit that a branch or tag names now. Raises StackError."""
    patterns = [f"refs/heads/{source.ref}", f"refs/tags/{source.ref}", f"refs/tags/{source.ref}^{{}}"]
    said = _git(["ls-remote", "--quiet", "--", source.url, *patterns], source.url).decode("utf-8", "replace")
    found = {name: commit for commit, _, name in (line.partition("\t") for line in said.splitlines())}
    named = [name for name in (f"refs/heads/{source.ref}", f"refs/tags/{source.ref}") if name in found]
    if not named:
        raise StackError(f"{source.url} has no branch or tag '{source.ref}'. Correct it, or push it.")
    if len(named) > 1:
        raise StackError(f"{source.url} has a branch and a tag '{source.ref}'. Rename one of them.")
    commit = found.get(f"{named[0]}^{{}}", found[named[0]])
    if not _COMMIT.fullmatch(commit):
        raise StackError(f"{source.url} names its commits otherwise than by SHA-1, which is not supported.")
    return commit


def _write_files(repository: Path, source: _Source, into: Path, transfer: Transfer) -> None:
    """The files of a commit below a path, each refused that is not content itself."""
    within = ["--", source.path] if source.path else []
    tree = ["ls-tree", "-r", "-z", "--full-tree", source.ref, *within]
    listing = _git(["-C", str(repository), *tree], source.url)
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
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment()) as process:
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


def _git(arguments: Sequence[str], url: str) -> bytes:
    """What git says. Raises StackError with the last line of what it says is wrong."""
    most_s = Limits.from_environment().timeout_s * (20 if "fetch" in arguments else 1)
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, env=_environment(), stdin=subprocess.DEVNULL, timeout=most_s,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise StackError("There is no 'git' on PATH. Install it.") from None
    except subprocess.TimeoutExpired:
        raise StackError(f"{url} did not answer git within {most_s:g} s. Check its address and the network.") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = next((line for line in said if line.startswith(("fatal:", "error:"))), said[-1] if said else "no reason")
        raise StackError(f"git can't read {url} ({why}). Check its address, the network, and your rights.")
    return done.stdout


def _environment() -> dict[str, str]:
    """Git asks nobody for a password, and knows nothing of a repository around the project."""
    kept = {
        key: value for key, value in os.environ.items() if key not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    }
    return {**kept, "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}


__all__ = ["GitFileRegistry", "GitHttpsRegistry", "GitSshRegistry"]
