"""`rollcast status`: what serves whom now, the rollout under way, the last verdict of each gate."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.options import project_of


def status(
    context: typer.Context,
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write it.")] = "text",
) -> None:
    """Show what serves whom now, the rollout under way, and the last verdict of each gate."""
    from rollcast.cli.show_rollout import finite
    from rollcast.cli.show_status import text_of
    from rollcast.stacks.status import status as read_status

    report = read_status(project_of(context))
    if format_ == "json":
        terminal.out_json(finite(report))
    else:
        terminal.out(text_of(report))


def register(app: typer.Typer) -> None:
    app.command()(status)
