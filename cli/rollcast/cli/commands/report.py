"""`rollcast report`: saved plans and forecasts, and what a rollout did, as Markdown, as one HTML file, or on paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollcast.cli.inputs.options import project_of
from rollcast.cli.reports.forms import PaperFormat

if TYPE_CHECKING:
    from rollcast.cli.reports.subject import Named, Subject


def report(
    context: typer.Context,
    plan: Annotated[
        Path | None, typer.Argument(metavar="[PLAN]", help="A saved plan; with --rollout, the ledger has it.")
    ] = None,
    forecast: Annotated[
        list[str] | None,
        typer.Option("--forecast", metavar="[NAME=]FILE", help="A saved forecast; again to compare with the first."),
    ] = None,
    rollout: Annotated[
        str | None, typer.Option("--rollout", metavar="ID", help="What this rollout really did; 'last' for the last.")
    ] = None,
    format_: Annotated[PaperFormat, typer.Option("--format", help="How to write the report.")] = "html",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there.")] = None,
) -> None:
    """Write a report of a saved plan: its forecasts side by side, and the rollout over the forecast's band."""
    from rollcast.cli.reports.writing import give

    give(_subject(context, plan, forecast or [], rollout), format_, out)


def _subject(context: typer.Context, plan: Path | None, forecasts: list[str], rollout: str | None) -> Subject:
    from rollcast.cli.inputs.plans import read_plan
    from rollcast.cli.reports.reproducing import command_of
    from rollcast.cli.reports.subject import Subject, reality_of
    from rollcast.stacks.base.errors import StackError

    named = [named_forecast(text) for text in forecasts]
    if rollout is None:
        if plan is None:
            raise StackError("Of what plan? Name a saved plan, or a rollout with --rollout ID.")
        return Subject(read_plan(plan), named, command=command_of(context))
    from rollcast.stacks.ledger.rollouts import STARTED, ledger_of, load

    ledger = ledger_of(project_of(context))
    records = ledger.records()
    started = [r for r in records if r.kind == STARTED and rollout in ("last", r.rollout)]
    if not started:
        raise StackError(f"The ledger knows no rollout '{rollout}'. 'rollcast history' lists them.")
    of_ledger = load(ledger, started[-1]).plan
    reality = reality_of(records, started[-1].rollout)
    return Subject(read_plan(plan) if plan else of_ledger, named, reality, command_of(context))


def named_forecast(text: str) -> Named:
    """A saved forecast with its name: `calm=forecast.json`, or the file's own. Raises StackError."""
    from rollcast.cli.inputs.saved import read_forecast
    from rollcast.cli.reports.subject import Named

    name, sign, file = text.partition("=")
    path = Path(file if sign else text)
    return Named(name if sign else path.stem, read_forecast(path))


def register(app: typer.Typer) -> None:
    app.command()(report)
