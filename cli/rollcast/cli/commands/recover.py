"""`rollcast recover`: a ledger that was lost, from what the target says; who is served by what does not change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rollcast.cli import terminal
from rollcast.cli.commands.apply import Format, FormatOption, close, event_reader
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.stacks.project import Project
    from rollcast.stacks.recovery.finding import RecoveryFinding
    from rollcast.stacks.recovery.taking_over import Recovery


def recover(
    context: typer.Context,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to", metavar="RELEASE", help="Then move everybody of a split channel to this one; again for more."
        ),
    ] = None,
    driver_gone: Annotated[
        bool, typer.Option("--driver-gone", help="You have seen that the driver on another machine has ended.")
    ] = False,
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")] = "",
    format_: FormatOption = "text",
) -> None:
    """Go on after the ledger was lost, from what the target says; nobody is served by anything else."""
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.recovery.finding import find
    from rollcast.stacks.recovery.lost import LedgerState
    from rollcast.stacks.recovery.taking_over import take_over

    project = project_of(context)
    found = find(project, gone=driver_gone)
    done = None
    if found.ledger.state not in (LedgerState.WHOLE, LedgerState.RECOVERED):
        _show(project, found, format_)
        _ask("Take this over, with a new ledger?", auto_approve)
        done = take_over(project, found, gone=driver_gone, reason=reason, progress=terminal.note)
    elif found.ledger.state is LedgerState.WHOLE and not (to and found.split):
        raise StackError(
            f"Nothing is to be recovered: the ledger is whole, {found.ledger.why}. See 'rollcast status' and "
            "'rollcast history'."
        )
    if done is not None or not to:
        _report(project, found, done, format_, more=bool(to))
    if to:
        _settle(project, to, format_, auto_approve, reason)


def _ask(question: str, auto_approve: bool) -> None:
    if not auto_approve and not terminal.confirm(question):
        terminal.note("Nothing was changed.")
        raise typer.Exit(1)


def _show(project: Project, found: RecoveryFinding, format_: Format) -> None:
    if format_ == "text":
        from rollcast.cli.output.recovery import found_in_words

        terminal.out("\n".join(found_in_words(project, found)))


def _report(project: Project, found: RecoveryFinding, done: Recovery | None, format_: Format, *, more: bool) -> None:
    from rollcast.cli.output.recovery import done_in_words, to_json

    if format_ == "json":
        terminal.out_json(to_json(project, found, done), indent=None if more else 2)
    else:
        terminal.out("\n".join(done_in_words(found, done)))


def _settle(project: Project, to: list[str], format_: Format, auto_approve: bool, reason: str) -> None:
    """Moves everybody by a plan, as every change is made."""
    from rollcast.cli.commands.plan import show_drift
    from rollcast.cli.output.plan import text_of
    from rollcast.stacks.recovery.settling import settlement_of
    from rollcast.stacks.rollout.start import start

    plan, drift = settlement_of(project, to)
    if format_ == "text":
        show_drift(drift)
        terminal.out(text_of(plan))
    _ask("Move everybody?", auto_approve)
    why = reason or f"recovered from a split, to {', '.join(to)}"
    declared = (project.declaration, project.digests)
    with event_reader(format_) as emit:
        ended = start(project, plan, emit, reason=why, declared=declared, rollback=True)
    close(project, ended, format_)


def register(app: typer.Typer) -> None:
    app.command()(recover)
