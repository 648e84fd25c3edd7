"""`file:PATH`: a file or folder below the project, without symbolic links: what is behind one may change unseen."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rollcast.stacks.base.errors import StackError


class FileRegistry:
    """Content in the project itself."""

    def mistake(self, _rest: str) -> str:
        return ""

    def content(self, rest: str, project: Path) -> Path | None:
        named = project / rest
        _refuse_links(_way_to(named, project), project)
        path = named.resolve()
        if not path.is_relative_to(project.resolve()):
            raise StackError(f"source 'file:{rest}' is outside the project. Move it below {project}.")
        if not path.exists():
            raise StackError(f"source 'file:{rest}' isn't there. Correct the path, which is relative to the project.")
        _refuse_links(_below(path), project.resolve())
        return path


def _way_to(path: Path, project: Path) -> Iterator[Path]:
    """A path and the folders between it and the project, as they are written."""
    parts = Path(os.path.normpath(path.relative_to(project))).parts if path.is_relative_to(project) else ()
    return (project.joinpath(*parts[: count + 1]) for count in range(0 if ".." in parts else len(parts)))


def _below(path: Path) -> Iterator[Path]:
    """All that is in a folder; no link is followed."""
    for folder, folders, files in os.walk(path, followlinks=False):
        yield from (Path(folder) / name for name in sorted((*folders, *files)))


def _refuse_links(paths: Iterable[Path], project: Path) -> None:
    for path in paths:
        if path.is_symlink():
            raise StackError(
                f"{path.relative_to(project)} is a symbolic link to {os.readlink(path)}, and what is behind "
                "it may change unnoticed. Put the content itself there."
            )
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise StackError(f"{path.relative_to(project)} is no file and no folder. Remove it.")
