"""`rollcast brake`: nothing advances in an environment until somebody releases it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of


def brake(
    context: typer.Context,
    release: Annotated[bool, typer.Option("--release", help="Let rollouts go on.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")] = "",
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write the result.")] = "text",
) -> None:
    """Let nothing begin or advance in an environment, as in an incident; proved harm still rolls back."""
    from rollcast.stacks.ledger.rollouts import ledger_of
    from rollcast.stacks.rollout.standstill import set_brake

    project = project_of(context)
    written = set_brake(ledger_of(project), pulled=not release, reason=reason)
    if format_ == "json":
        about = {"environment": project.environment_name, "pulled": not release, "changed": written is not None}
        terminal.out_json({"format_version": "1.0", **about})
        return
    name = terminal.clean(project.environment_name)
    if written is None:
        terminal.out(f"The brake of {name} {'was off' if release else 'was on already'}.")
    elif release:
        terminal.out(f"Released: rollouts in {name} go on, one without a process with 'rollcast apply --resume'.")
    else:
        terminal.out(
            f"Pulled: nothing begins or advances in {name}. The gates go on watching: proved harm still rolls back. "
            "'rollcast brake --release --reason TEXT' lets it go on."
        )


def register(app: typer.Typer) -> None:
    app.command()(brake)
