"""The options that every command shares, and the project that they choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rollcast.stacks.project import Project


@dataclass(frozen=True, slots=True)
class Options:
    """`-C`, `--env`, `--file`, `--debug`."""

    directory: Path
    environment: str | None
    file: str
    debug: bool


def options_of(context: typer.Context) -> Options:
    """The shared options of a command."""
    found = context.find_object(Options)
    assert found is not None
    return found


def project_of(context: typer.Context) -> Project:
    """The project that a command is about. Raises StackError or DeclarationError."""
    from rollcast.stacks.project import Project

    chosen = options_of(context)
    return Project.open(chosen.directory, chosen.environment, chosen.file)
