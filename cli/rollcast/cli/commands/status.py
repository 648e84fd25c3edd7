"""`rollcast status`: what serves whom now, the rollout under way, the last verdict of each gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.stacks.project import Project


def status(
    context: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every two seconds until the rollout ends.")
    ] = False,
    foreign: Annotated[
        bool, typer.Option("--foreign", help="List what is at the target that belongs to nobody here, and whose it is.")
    ] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Every environment in sequence: what serves there, and what may enter it.")
    ] = False,
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write it.")] = "text",
) -> None:
    """Show what serves whom now, the rollout under way, and the last verdict of each gate."""
    if all_:
        _all(context, watch or foreign, format_)
        return
    from rollcast.cli.output.rollout import finite
    from rollcast.cli.output.status import text_of
    from rollcast.stacks.rollout.status import status as read_status

    project = project_of(context)
    if watch:
        _watch(project, format_, foreign)
        return
    report = read_status(project, foreign)
    if format_ == "json":
        terminal.out_json(finite(report))
    else:
        terminal.out(text_of(report))


def _all(context: typer.Context, more: bool, format_: str) -> None:
    from rollcast.cli.inputs.options import options_of
    from rollcast.cli.inputs.plans import digest_of_plan
    from rollcast.cli.output.rollout import finite
    from rollcast.cli.output.sequence import text_of
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.rollout.sequence import sequence_status

    chosen = options_of(context)
    if more:
        raise StackError("--all shows every environment once. Leave out --watch and --foreign, or --all.")
    if chosen.environment is not None:
        raise StackError("--all shows every environment. Leave out --env, or --all.")
    report = sequence_status(chosen.directory, chosen.file, digest_of_plan)
    if format_ == "json":
        terminal.out_json(finite(report))
    else:
        terminal.out(text_of(report))


def _watch(project: Project, format_: str, foreign: bool) -> None:
    """Until the rollout is over: drawn in place on a terminal, else one report after another."""
    import sys
    import time

    from rollcast.cli.output.rollout import finite
    from rollcast.cli.output.status import text_of
    from rollcast.stacks.rollout.status import status as read_status

    while True:
        report = read_status(project, foreign)
        if format_ == "json":
            terminal.out_json(finite(report), indent=None)
        else:
            terminal.out(("\x1b[2J\x1b[H" if terminal.coloured() else "") + text_of(report))
        sys.stdout.flush()
        if report["rollout"] is None or report["rollout"]["outcome"] is not None:
            return
        time.sleep(2.0)


def register(app: typer.Typer) -> None:
    app.command()(status)
