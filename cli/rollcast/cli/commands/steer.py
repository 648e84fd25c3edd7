"""`rollcast pause`, `promote`, `abort`, `rollback`, `retry`: a person's orders."""

from __future__ import annotations

from typing import Annotated

import typer

from rollcast.cli import terminal
from rollcast.cli.commands.apply import FormatOption, close, event_reader
from rollcast.cli.inputs.options import project_of, project_or_recorded

Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")]


def pause(context: typer.Context, reason: Reason = "") -> None:
    """Stay at the milestone that is reached until 'rollcast apply --resume' or 'rollcast promote'; go on watching."""
    from rollcast.stacks.ledger.payloads import Order
    from rollcast.stacks.rollout.steering import give

    give(project_of(context), Order.PAUSE, reason=reason)
    terminal.out(
        "Ordered: pause. The gates go on watching: proved harm still rolls back. 'rollcast apply --resume' goes on."
    )


def promote(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Skip every later gate and bake as well.")] = False,
    reason: Reason = "",
) -> None:
    """Go on to the next milestone without waiting for proof."""
    from rollcast.stacks.ledger.payloads import Order
    from rollcast.stacks.rollout.steering import give

    give(project_of(context), Order.PROMOTE, full=full, reason=reason)
    terminal.out(f"Ordered: promote{' in full' if full else ''}. See 'rollcast status'.")


def abort(context: typer.Context, reason: Reason = "", format_: FormatOption = "text") -> None:
    """Roll back the rollout under way to where it began."""
    from rollcast.stacks.rollout.steering import roll_back_now

    project = project_or_recorded(context)
    with event_reader(format_) as emit:
        ended = roll_back_now(project, emit, reason or "aborted by hand")
    close(project, ended, format_)


def rollback(
    context: typer.Context,
    to: Annotated[str | None, typer.Option("--to", metavar="RELEASE", help="An earlier release by its id.")] = None,
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    reason: Reason = "",
    format_: FormatOption = "text",
) -> None:
    """Go back to the last release that was promoted before, or to another one: traffic first, no gates to wait for."""
    from rollcast.cli.commands.plan import show_drift
    from rollcast.cli.output.plan import text_of
    from rollcast.stacks.ledger import rollouts
    from rollcast.stacks.ledger.rollouts import ledger_of
    from rollcast.stacks.rollout.start import start
    from rollcast.stacks.rollout.steering import plan_rollback, roll_back_now

    project = project_or_recorded(context)
    if rollouts.under_way(ledger_of(project)) is not None:
        with event_reader(format_) as emit:
            ended = roll_back_now(project, emit, reason or "rolled back by hand")
        if to is None or int(ended.exit) not in (0, 4):
            close(project, ended, format_)
    way = plan_rollback(project, to)
    if format_ == "text":
        show_drift(way.drift)
        terminal.out(text_of(way.plan))
    if (way.drift or not way.plan.empty) and not auto_approve and not terminal.confirm("Go back?"):
        terminal.note("Nothing was changed.")
        raise typer.Exit(1)
    why = reason or f"rolled back by hand to {to or 'the release before'}"
    with event_reader(format_) as emit:
        ended = start(project, way.plan, emit, reason=why, declared=(way.declaration, way.digests), rollback=True)
    close(project, ended, format_, by_hand=True)


def retry(
    context: typer.Context,
    reason: Annotated[str, typer.Option("--reason", help="Why it may be tried again; kept in the ledger.")],
) -> None:
    """Let a declared release that was rolled back be tried again; the next 'rollcast apply' begins it."""
    from rollcast.stacks.ledger import rejections as rejected
    from rollcast.stacks.ledger.rollouts import ledger_of
    from rollcast.stacks.rollout.elsewhere import refuse_foreign

    project = project_of(context)
    refuse_foreign(project)
    found = rejected.retry(ledger_of(project), project, reason)
    terminal.out(f"{terminal.clean(', '.join(found.releases))} may be tried again. 'rollcast apply' begins it.")


def register(app: typer.Typer) -> None:
    for command in (pause, promote, abort, rollback, retry):
        app.command()(command)
