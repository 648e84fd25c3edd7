"""Where each part of a declaration stands: a path of keys to file, line and column, includes followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rollcast.planner.loading import read_yaml
from rollcast.planner.sources import Source
from rollcast.policies.rules import Path


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file of the project. Lines and columns count from 1; 0 is unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Places:
    """The places of a declaration that was read from text. Artifacts of included files stand in those files."""

    def __init__(self, text: str, file: str, read: Callable[[str], str] | None = None) -> None:
        self.main = read_yaml(text, file)
        self.own = 0
        self.included: list[tuple[Source, int, Path]] = []
        if not isinstance(self.main.data, Mapping):
            return
        own = self.main.data.get("artifacts")
        self.own = len(own) if isinstance(own, list) else 0
        names = self.main.data.get("include")
        for name in names if isinstance(names, list) and read is not None else ():
            self._include(str(name), read)

    def _include(self, name: str, read: Callable[[str], str] | None) -> None:
        if read is None:
            return
        part = read_yaml(read(name), name)
        below: Path = ("artifacts",) if isinstance(part.data, Mapping) else ()
        found = part.data.get("artifacts") if isinstance(part.data, Mapping) else part.data
        if isinstance(found, list):
            self.included.append((part, len(found), below))

    def at(self, path: Path) -> Place:
        """The place of a path, or of its nearest ancestor that has one."""
        source, path = self._source(path)
        found = source.at(path, "")
        return Place(found.file, found.line, found.column)

    def _source(self, path: Path) -> tuple[Source, Path]:
        if len(path) < 2 or path[0] != "artifacts" or not isinstance(path[1], int):
            return self.main, path
        position = path[1] - self.own
        for source, count, below in self.included:
            if 0 <= position < count:
                return source, (*below, position, *path[2:])
            position -= count
        return self.main, path
