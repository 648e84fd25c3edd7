"""`rollcast review`: what a CI job of a pull request runs: plan, simulate, judge, report, and keep one comment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import files, terminal
from rollcast.cli.inputs.options import (
    FromOption,
    RunsOption,
    ScaleOption,
    SeedOption,
    TrafficOption,
    Users,
    UsersOption,
    options_of,
    project_of,
)

if TYPE_CHECKING:
    from rollcast.cli.reports.subject import Subject

Where = Literal["auto", "github", "gitlab", "none"]


def review(
    context: typer.Context,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REVISION", help="Plan from the declaration at this git revision.")
    ] = None,
    from_: FromOption = None,
    traffic: TrafficOption = None,
    runs: RunsOption = 20,
    seed: SeedOption = 0,
    scale: ScaleOption = 1.0,
    users: UsersOption = "synthetic",
    detect: Annotated[
        int | None,
        typer.Option(
            "--detect", metavar="N", help="Replays for each regression it might catch; 0: leave that out.", min=0
        ),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the comment there.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report page there.")] = None,
    comment: Annotated[
        Where, typer.Option("--comment", help="Where to keep the comment; auto: the job's host.")
    ] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read comments, write none.")] = False,
) -> None:
    """Plan, simulate, judge and report, as a job of a pull request: exit 3 when a mandatory guardrail blocks."""
    from rollcast.cli.commenting.sticky import mark_of
    from rollcast.cli.inputs.guardrails import refuse
    from rollcast.cli.reports.writing import text_of

    chosen = options_of(context)
    mark = mark_of(os.path.normpath(chosen.given), chosen.file, chosen.environment or "")
    try:
        subject = _subject(context, base, from_, traffic or [], runs, seed, scale, detect, users)
    except Exception as error:
        _publish(_failure(error), mark, comment, dry_run, markdown)
        raise
    if html is not None:
        files.write(html, text_of(subject, "html"), "The report")
    _publish(text_of(subject, "markdown"), mark, comment, dry_run, markdown)
    refuse(subject.plan, "simulate")


def _subject(
    context: typer.Context,
    base: str | None,
    from_: str | None,
    traffic: list[Path],
    runs: int,
    seed: int,
    scale: float,
    detect: int | None,
    users: Users,
) -> Subject:
    from rollcast.cli.commands.simulate import traffic_of
    from rollcast.cli.inputs.guardrails import judged
    from rollcast.cli.inputs.plans import plan_of
    from rollcast.cli.inputs.revisions import declaration_at
    from rollcast.cli.reports.reproducing import command_of
    from rollcast.cli.reports.subject import Named, Subject
    from rollcast.simulator.forecast.simulate import simulate
    from rollcast.simulator.stations.custom import load_stations
    from rollcast.simulator.traffic.recording import read_traffic

    chosen, project = options_of(context), project_of(context)
    if base is not None:
        with declaration_at(base, chosen.directory, chosen.file) as there:
            plan = plan_of(project, str(there)).plan
    else:
        plan = plan_of(project, from_).plan
    files = traffic or traffic_of(chosen.directory)
    command = command_of(context)
    if plan.empty or not files:
        if not plan.empty:
            terminal.note("No recorded traffic: nothing is simulated. Name some with --traffic, or put it in traffic/.")
        return Subject(plan, command=command)
    load_stations(chosen.directory)
    forecast = simulate(
        plan, read_traffic(files, seed=seed, scale=scale, users=users), runs=runs, seed=seed, detect=detect
    )
    return Subject(judged(project, plan, forecast), [Named("forecast", forecast)], command=command)


def _failure(error: Exception) -> str:
    """The comment of a declaration that can't be planned: an old verdict must not stand in its place."""
    from rollcast.cli.failures import sentences
    from rollcast.cli.reports.escaping import markdown

    lines = [f"- {markdown(sentence, 600)}" for sentence in sentences(error)][:50]
    return "\n".join(["## ❌ This can't be planned or simulated", "", *lines, ""])


def _publish(text: str, mark: str, where: Where, dry_run: bool, markdown: Path | None) -> None:
    """The comment, the job's summary, the file. What a code host refuses is said and is not the check's result."""
    from rollcast.cli.commenting.errors import CommentError
    from rollcast.cli.commenting.hosts import host_of, named_by
    from rollcast.cli.commenting.sticky import keep

    if markdown is not None:
        files.write(markdown, text, "The report")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text)
    name = named_by(os.environ) if where == "auto" else None if where == "none" else where
    if name is None:
        if markdown is None and not summary:
            terminal.out(text.rstrip("\n"))
        return
    try:
        keep(host_of(name, os.environ), mark, text, dry_run=dry_run, say=terminal.note)
    except CommentError as error:
        terminal.note(f"Warning: no comment was written. {error}")


def register(app: typer.Typer) -> None:
    app.command()(review)
