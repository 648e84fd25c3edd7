"""What a source declares at one moment: its projects, each with a name for its content."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rollcast.stacks.base.errors import StackError


@dataclass(frozen=True)
class Revision:
    """One commit, or a folder as it was seen.

    `commit`: empty for a folder; `contents`: by the path of a project below the source, a name that changes with its
    content; `problems`: projects that can't be followed, and why; `before`: the commit that a branch named before and
    that is no part of its history any more, as after a forced push.
    """

    commit: str
    contents: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)
    before: str = ""


class FollowedSource(Protocol):
    """Where declarations come from. `look` and what places files may take long, and raise StackError."""

    name: str

    def prepare(self) -> None:
        """Makes what `look` needs. Only the process that holds the source may call this, and what changes files."""

    def look(self) -> Revision:
        """What it declares now. Raises StackError where it can't be reached: what was known stays known."""

    def known(self) -> Revision | None:
        """What it declared when it was reached last, perhaps by an earlier process; None before that."""

    def folder(self, path: str) -> Path:
        """Where a project is carried out from: the same place for each of its contents, for its state is there."""

    def candidate(self, path: str, content: str) -> Path | None:
        """A project's content beside what is in place, to be looked at before; None where there is no such thing."""

    def put(self, path: str, content: str) -> None:
        """Puts a content in place; state is left as it is. Nobody may be at work in the project's folder."""

    def in_place(self, path: str) -> str:
        """The content that was put in place last; empty before there was one."""


def chosen(found: Iterable[str], only: tuple[str, ...], file: str) -> tuple[str, ...]:
    """The projects to follow, of those that were found: all, or those named. Raises StackError naming what is absent.

    >>> chosen(["a", "b/c"], ("b/c/",), "rollcast.yaml")
    ('b/c',)
    """
    there = sorted(set(found))
    if not only:
        return tuple(there)
    wanted = tuple(dict.fromkeys(_plain(path) for path in only))
    absent = [path for path in wanted if path not in there]
    if absent:
        raise StackError(f"The source has no {' and no '.join(f'{path}/{file}' for path in absent)}. Correct --path.")
    return wanted


def folder_name(path: str) -> str:
    """A name for a project's own folder, by its path below the source.

    >>> folder_name("teams/a b").startswith("teams-a-b-")
    True
    """
    readable = re.sub(r"[^A-Za-z0-9_.]+", "-", path).strip("-.")[-60:] or "root"
    return f"{readable}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def _plain(path: str) -> str:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or path.startswith("/"):
        raise StackError(f"--path {path} leads out of the source. Name a folder below it.")
    return "/".join(parts) or "."
