"""Content of registries on this machine: by digest, shared between projects, held against its digest on each use.

It lies in ROLLCAST_CACHE, else `rollcast` in the user's cache folder ($XDG_CACHE_HOME, ~/.cache). An entry is a folder
with `files/` and `entry.json`; it is whole or absent. What was changed in it by hand is thrown away and fetched again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.sources import Found, RemoteRegistry, registry_of
from rollcast.stacks.registries.transfer import Progress, Transfer
from rollcast.stacks.registries.trees import Tree, files_below, tree_digest, tree_of

_WAIT_S = 6 * 3600.0  # for another process that fetches the same
_ENTRY = "entry.json"


@dataclass(frozen=True)
class Entry:
    """One content in the cache. used_s: when it was last used, seconds since 1970."""

    folder: Path
    identity: str
    digest: str
    size: int
    used_s: float


def root() -> Path:
    """Where the cache is."""
    said = os.environ.get("ROLLCAST_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return (Path(said) if said else Path(base) / "rollcast") / "content"


@contextlib.contextmanager
def content_of(
    pin: SourcePin,
    what: str,
    *,
    progress: Progress = lambda done, total: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Path]:
    """The folder with the files of what is pinned, theirs for as long as the context lasts. Raises StackError.

    Fetched where it is not there yet, so that what is there works without a network.
    """
    folder = _folder_of(pin.digest)
    with _held(folder):
        if not _is_whole(folder, pin):
            registry, rest = _remote(pin.identity)
            tree = _fetch(registry, rest, pin, folder, what, progress, stopped)
            _require(tree, pin, what, folder)
        os.utime(folder / _ENTRY)
        yield folder / "files"


def admit(
    found: Found,
    what: str,
    *,
    progress: Progress = lambda done, total: None,
    stopped: Callable[[], bool] = lambda: False,
) -> SourcePin:
    """The pin of content whose registry states no digest: its files are fetched and digested. Raises StackError."""
    registry, rest = _remote(found.identity)
    unknown = SourcePin(identity=found.identity, digest=f"sha256:{'0' * 64}", covers="files", size=found.size)
    key = hashlib.sha256(found.identity.encode()).hexdigest()
    staged = root() / f"{atomic_files.STAGING}{key}"
    with _held(staged):
        try:
            tree = _fetch(registry, rest, unknown, staged, what, progress, stopped)
            pin = unknown.model_copy(update={"digest": tree_digest(tree)})
            final = _folder_of(pin.digest)
            with _held(final):
                if not _is_whole(final, pin):
                    shutil.rmtree(final, ignore_errors=True)
                    final.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(staged, final)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return pin


def files_at_hand(pin: SourcePin) -> dict[str, bytes] | None:
    """The files of what is pinned, where they are in the cache already: nothing is fetched."""
    folder = _folder_of(pin.digest)
    if not (folder / _ENTRY).is_file():
        return None
    with _held(folder):
        if not _is_whole(folder, pin):
            return None
        return {name: file.read_bytes() for name, file in files_below(folder / "files")}


def entries() -> list[Entry]:
    """All that is in the cache, the last used first."""
    found = []
    for path in root().glob(f"*/*/*/{_ENTRY}"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            said = json.loads(path.read_text("utf-8"))
            digest = f"{path.parent.parent.parent.name}:{path.parent.name}"
            found.append(Entry(path.parent, said["identity"], digest, int(said["size"]), path.stat().st_mtime))
    return sorted(found, key=lambda entry: (-entry.used_s, entry.identity))


def prune(unused_s: float, now_s: float | None = None) -> list[Entry]:
    """Takes away what was not used for so long, and what was broken off. Gives what is gone; what is in use stays."""
    now_s = time.time() if now_s is None else now_s
    gone = []
    for entry in entries():
        if now_s - entry.used_s >= unused_s:
            with contextlib.suppress(OSError), _held(entry.folder, wait_s=0.0):
                atomic_files.remove(entry.folder, entry.folder.with_name(f"{atomic_files.STAGING}{entry.folder.name}"))
                gone.append(entry)
    for part in root().glob("parts/*"):
        with contextlib.suppress(OSError):
            if now_s - part.stat().st_mtime >= unused_s:
                shutil.rmtree(part, ignore_errors=True)
    return gone


def is_intact(entry: Entry) -> bool:
    """Whether an entry's files are those that were fetched."""
    with _held(entry.folder):
        return _read(entry.folder) is not None


# ---- one entry ----------------------------------------------------------------------------------


def _folder_of(digest: str) -> Path:
    algorithm, _, value = digest.partition(":")
    return root() / algorithm / value[:2] / value


def _held(folder: Path, wait_s: float = _WAIT_S) -> contextlib.AbstractContextManager[None]:
    return atomic_files.locked(folder.with_name(f".{folder.name.removeprefix('.')}.lock"), wait_s=wait_s)


def _remote(identity: str) -> tuple[RemoteRegistry, str]:
    registry, rest = registry_of(identity)
    if not isinstance(registry, RemoteRegistry):
        raise StackError(
            f"'{identity}' is pinned in the lock, and its kind fetches nothing. Run 'rollcast lock' again."
        )
    return registry, rest


def _read(folder: Path) -> dict[str, Any] | None:
    """What an entry says of itself, where its files are what it says."""
    try:
        said: dict[str, Any] = json.loads((folder / _ENTRY).read_text("utf-8"))
        return said if tree_of(folder / "files") == said["tree"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_whole(folder: Path, pin: SourcePin) -> bool:
    said = _read(folder)
    if said is None:
        return False
    return pin.covers != "files" or tree_digest(said["tree"]) == pin.digest


def _fetch(
    registry: RemoteRegistry, rest: str, pin: SourcePin, folder: Path, what: str,
    progress: Progress, stopped: Callable[[], bool],
) -> Tree:  # fmt: skip
    """Fetches into a folder, which is whole afterwards or absent."""
    parts = root() / "parts" / hashlib.sha256(pin.identity.encode()).hexdigest()
    staging = folder.with_name(f"{atomic_files.STAGING}fetch-{folder.name.removeprefix(atomic_files.STAGING)}")
    shutil.rmtree(staging, ignore_errors=True)
    files = staging / "files"
    try:
        files.mkdir(parents=True)
        transfer = Transfer(what, parts, expected=pin.size, progress=progress, stopped=stopped)
        registry.fetch(rest, pin, files, transfer)
        tree = _tree_without_links(files, what)
        size = sum(file.stat().st_size for _, file in files_below(files))
        said = {"identity": pin.identity, "size": size, "tree": tree}
        (staging / _ENTRY).write_text(json.dumps(said, indent=1) + "\n", "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        atomic_files.place(staging, folder)
        shutil.rmtree(parts, ignore_errors=True)
    except OSError as error:
        raise StackError(
            f"{what}: the cache in {root()} can't be written ({error}). Make room, or correct it."
        ) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return tree


def _tree_without_links(files: Path, what: str) -> Tree:
    for path in files.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StackError(
                f"{what}: '{path.relative_to(files)}' is a link or a device. Put the content itself there."
            )
    tree = tree_of(files)
    if not tree:
        raise StackError(f"{what}: there is no file in it. Correct 'source'.")
    return tree


def _require(tree: Tree, pin: SourcePin, what: str, folder: Path) -> None:
    """Files that are not those that were locked are thrown away."""
    if pin.covers == "files" and tree_digest(tree) != pin.digest:
        shutil.rmtree(folder, ignore_errors=True)
        raise StackError(
            f"{what}: its files have the digest {tree_digest(tree)[:19]}…, and the lock pins {pin.digest[:19]}…. "
            "Nothing of them is kept. See who changed them there; 'rollcast lock' pins what is there now."
        )


__all__ = ["Entry", "admit", "content_of", "entries", "files_at_hand", "is_intact", "prune", "root"]
