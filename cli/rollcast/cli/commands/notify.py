"""`rollcast notify`: delivers what receivers of notifications have not got yet."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of


def notify(
    context: typer.Context,
    again: Annotated[bool, typer.Option("--again", help="Dead letters, too: what was given up before.")] = False,
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write the result.")] = "text",
) -> None:
    """Deliver now what the environment's receivers have not got yet; exit 1 where something is left."""
    from rollcast.cli.output.status import undelivered
    from rollcast.stacks.rollout.notifications import deliver

    receivers = deliver(project_of(context), again=again)
    left = any(receiver["waiting"] or receiver["dead"] for receiver in receivers)
    if format_ == "json":
        terminal.out_json({"format_version": "1.0", "notify": receivers})
    else:
        for receiver in receivers:
            terminal.out("\n".join(undelivered(receiver)) or f"  {terminal.clean(receiver['receiver'])} has got all")
    raise typer.Exit(1 if left else 0)


def register(app: typer.Typer) -> None:
    app.command()(notify)
