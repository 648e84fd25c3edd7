"""A folder of this machine, carried out where it is.

Its projects are those whose declaration it holds. A project has changed when one of its YAML or Python files or its
lock did, by size and time of change; what else is in it (artifacts, what a service writes) is seen by `apply` itself.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.following.revision import Revision, chosen

_WATCHED = (".yaml", ".yml", ".py", ".lock")
_ELSEWHERE = {"node_modules", "__pycache__"}
MOST_FILES = 50_000


class FolderSource:
    """See the module."""

    def __init__(self, root: Path, file: str, only: tuple[str, ...] = ()) -> None:
        self._root, self._file, self._only = root.resolve(), file, only
        self.name = str(self._root)
        self._last: Revision | None = None

    def look(self) -> Revision:
        if not self._root.is_dir():
            raise StackError(f"There is no folder {self._root}. Correct its path, or mount it.")
        marks = list(self._marks())
        found = [os.path.dirname(name) or "." for name, _ in marks if os.path.basename(name) == self._file]
        contents = {}
        for path in chosen(found, self._only, self._file):
            inside = "" if path == "." else f"{path}/"
            own = sorted(f"{name}\0{mark}" for name, mark in marks if name.startswith(inside))
            contents[path] = hashlib.sha256("\n".join(own).encode("utf-8", "surrogateescape")).hexdigest()
        self._last = Revision("", contents)
        return self._last

    def known(self) -> Revision | None:
        return self._last

    def folder(self, path: str) -> Path:
        return self._root / path

    def candidate(self, path: str, content: str) -> None:
        return None

    def put(self, path: str, content: str) -> None:
        """It is in place already."""

    def in_place(self, path: str) -> str:
        return self._last.contents.get(path, "") if self._last is not None else ""

    def prepare(self) -> None:
        """Nothing is to be made."""

    def _marks(self) -> Iterator[tuple[str, str]]:
        """Every watched file, by its path below the folder, with what changes when it does."""
        count, ahead = 0, [self._root]
        while ahead:
            try:
                entries = list(os.scandir(ahead.pop()))
            except OSError:
                continue  # it went away, or may not be read: what is in it is not declared here
            for entry in entries:
                count += 1
                if count > MOST_FILES:
                    raise StackError(
                        f"{self._root} holds more than {MOST_FILES:,} files, too many to watch. Follow a repository, "
                        "or a folder that holds the projects alone."
                    )
                if entry.name.startswith(".") or entry.name in _ELSEWHERE:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    ahead.append(Path(entry.path))
                elif entry.name.endswith(_WATCHED) or entry.name == self._file:
                    try:
                        seen = entry.stat()
                    except OSError:
                        continue
                    below = os.path.relpath(entry.path, self._root).replace(os.sep, "/")
                    yield below, f"{seen.st_size} {seen.st_mtime_ns} {seen.st_ino}"


__all__ = ["FolderSource"]
