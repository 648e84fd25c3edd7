"""`rollcast destroy`: takes a pipeline down, planned, drained and confirmed; the ledger stays."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcast.cli import terminal
from rollcast.cli.commands.apply import FormatOption, close, event_reader
from rollcast.cli.inputs.options import project_of


def destroy(
    context: typer.Context,
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")] = "",
    format_: FormatOption = "text",
) -> None:
    """Take everything down that this project serves in an environment: flags and instances go, the ledger stays."""
    from rollcast.cli.commands.plan import show_drift
    from rollcast.cli.inputs.plans import removal_of
    from rollcast.cli.output.plan import text_of
    from rollcast.stacks.rollout.start import found_under_way, refuse_second, start

    project = project_of(context)
    refuse_second(found_under_way(project).started)
    made = removal_of(project)
    if format_ == "text":
        show_drift(made.drift)
        terminal.out(text_of(made.plan))
    if not made.plan.empty and not auto_approve and not terminal.confirm("Take all of this down?"):
        terminal.note("Nothing was changed.")
        raise typer.Exit(1)
    with event_reader(format_) as emit:
        ended = start(project, made.plan, emit, reason=reason or "destroyed by hand", blind=True)
    close(project, ended, format_)


def register(app: typer.Typer) -> None:
    app.command()(destroy)
