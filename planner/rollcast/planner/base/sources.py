"""Where each part of a declaration's text stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rollcast.planner.base.errors import Diagnostic

Path = tuple[str | int, ...]


@dataclass
class SourceText:
    """A file's data, and where each part of it stands: path of keys -> (line, column), counted from 1."""

    file: str
    data: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    included: dict[int, tuple[SourceText, Path]] = field(default_factory=dict)

    def at(self, path: Path, summary: str, remedy: str = "") -> Diagnostic:
        """A diagnostic at a path, or at its nearest ancestor that has a place; in the file that it came from."""
        if len(path) > 1 and path[0] == "artifacts" and path[1] in self.included:
            part, base = self.included[int(path[1])]
            return part.at((*base, *path[2:]), summary, remedy)
        while path and path not in self.places:
            path = path[:-1]
        line, column = self.places.get(path, (1, 1))
        return Diagnostic(self.file, line, column, summary, remedy)


__all__ = ["Path", "SourceText"]
