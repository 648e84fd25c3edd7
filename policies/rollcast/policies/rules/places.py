"""Where each part of a declaration stands: a path of keys to file, line and column, includes followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rollcast.planner.base.sources import Path
from rollcast.planner.loading.loader import read_source


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
        self._source = read_source(text, file, read)

    def at(self, path: Path) -> Place:
        """The place of a path, or of its nearest ancestor that has one."""
        found = self._source.at(path, "")
        return Place(found.file, found.line, found.column)
