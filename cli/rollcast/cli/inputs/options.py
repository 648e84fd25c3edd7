"""The options that every command shares, and the project that they choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import terminal

if TYPE_CHECKING:
    from rollcast.stacks.project import Project

FromOption = Annotated[
    str | None, typer.Option("--from", metavar="DECLARATION", help="Plan from this declaration, not from live.")
]
TrafficOption = Annotated[
    list[Path] | None,
    typer.Option("--traffic", metavar="FILE", help="Recorded traffic; again for more. Else all in traffic/."),
]
RunsOption = Annotated[int, typer.Option("--runs", metavar="N", help="Monte Carlo runs.", min=1)]
SeedOption = Annotated[int, typer.Option("--seed", metavar="S", help="Of all random numbers.", min=0)]
Users = Literal["synthetic", "required"]
UsersOption = Annotated[
    Users, typer.Option("--users", help="Requests without a user: synthetic users for them, or refuse the traffic.")
]
ColumnsOption = Annotated[
    str | None, typer.Option("--columns", metavar="time=…,key=…", help="Which column of the traffic holds what.")
]
WorkersOption = Annotated[int | None, typer.Option("--workers", metavar="N", help="Processes; all cores.", min=1)]
ScaleOption = Annotated[float, typer.Option("--scale", metavar="X", help="Multiplies the arrival rate.")]


@dataclass(frozen=True, slots=True)
class Options:
    """`-C`, `--env`, `--file`, `--debug`. `directory` is the folder changed into, `given` what was typed for it."""

    directory: Path
    environment: str | None
    file: str
    debug: bool
    given: Path = Path()


def options_of(context: typer.Context) -> Options:
    """The shared options of a command."""
    found = context.find_object(Options)
    assert found is not None
    return found


def note_others(project: Project) -> None:
    """Says where to go when another ledger holds the project's pipelines: this one knows nothing of it."""
    from contextlib import suppress

    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.rollout.elsewhere import held_elsewhere

    with suppress(StackError):  # the ledger is read all the same where the target can't be
        for text in held_elsewhere(project):
            terminal.note(terminal.clean(text))


def project_or_recorded(context: typer.Context) -> Project:
    """The project; where its declaration can't be used, as its last rollout knows it. Raises as `project_of` does."""
    from rollcast.planner.base.errors import DeclarationError
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.rollout.recorded import recorded_project

    try:
        return project_of(context)
    except (DeclarationError, StackError) as error:
        chosen = options_of(context)
        found = recorded_project(chosen.directory, chosen.environment, chosen.file)
        if found is None:
            raise
        first = str(error).strip().splitlines()[0]
        terminal.note(
            f"{chosen.file} can't be used ({terminal.clean(first)}): going by what the last rollout was made from."
        )
        return found


def project_of(context: typer.Context, *, profiles: bool = False) -> Project:
    """The project that a command is about. Raises StackError or DeclarationError. `profiles`: see `Project.open`."""
    from rollcast.stacks.project import Project

    chosen = options_of(context)
    return Project.open(chosen.directory, chosen.environment, chosen.file, profiles=profiles)
