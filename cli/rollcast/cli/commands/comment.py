"""`rollcast comment`: keeps one comment with a report that was written before.

A report is made by running a change's own code; whoever holds the token of the code host only reads its text. So a job
that reviews changes of strangers makes the report without a token, and a job of the base writes the comment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import options_of

Where = Literal["auto", "github", "gitlab", "none"]
_MOST_BYTES = 1 << 20


def comment(
    context: typer.Context,
    report: Annotated[Path, typer.Argument(help="What 'rollcast review --markdown FILE' wrote.")],
    where: Annotated[Where, typer.Option("--to", help="Where to keep the comment; auto: the job's host.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read comments, write none.")] = False,
) -> None:
    """Keep one comment on a pull request with a report that was written before; no code of the change is run."""
    from rollcast.stacks.base.errors import StackError

    try:
        with report.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise StackError(
            f"{report} can't be read ({error.strerror}). Write it with 'rollcast review --markdown'."
        ) from None
    if not publish(text, mark_for(context), where, dry_run):
        raise StackError("There is no job of a code host here to comment in. Name the host with --to.")


def mark_for(context: typer.Context) -> str:
    """The mark of the comment about the project, declaration and environment that a command is for."""
    from rollcast.cli.commenting.sticky import mark_of

    chosen = options_of(context)
    return mark_of(os.path.normpath(chosen.given), chosen.file, chosen.environment or "")


def publish(text: str, mark: str, where: Where, dry_run: bool) -> bool:
    """Keeps the comment; False where there is no host. What a host refuses is said and is not the check's result."""
    from rollcast.cli.commenting.errors import CommentError
    from rollcast.cli.commenting.hosts import host_of, named_by
    from rollcast.cli.commenting.sticky import keep

    name = named_by(os.environ) if where == "auto" else None if where == "none" else where
    if name is None:
        return False
    try:
        keep(host_of(name, os.environ), mark, text, dry_run=dry_run, say=terminal.note)
    except CommentError as error:
        terminal.note(f"Warning: no comment was written. {error}")
    return True


def register(app: typer.Typer) -> None:
    app.command()(comment)
