"""`rollcast review`: what a CI job of a pull request runs: plan, simulate, judge, report, and keep one comment."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollcast.cli import files, terminal
from rollcast.cli.commands.comment import Where, mark_for, publish
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
    from rollcast.cli.inputs.guardrails import refuse
    from rollcast.cli.reports.writing import text_of

    mark = mark_for(context)
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
    from rollcast.policies import BaseRules
    from rollcast.simulator.forecast.simulate import simulate
    from rollcast.simulator.stations.custom import load_stations
    from rollcast.simulator.traffic.recording import read_traffic
    from rollcast.stacks.project import read_declaration

    chosen, project = options_of(context), project_of(context)
    with ExitStack() as kept:  # what stands at the base is there until everything is judged by it
        rules = None
        if base is not None:
            there = kept.enter_context(declaration_at(base, chosen.directory, chosen.file))
            _, declared = read_declaration(there.parent, there.name)
            rules = BaseRules(there.parent, declared.overrides, base)
            from_ = str(there)
        plan = plan_of(project, from_, rules).plan
        files = traffic or traffic_of(chosen.directory)
        command = command_of(context)
        if plan.empty or not files:
            if not plan.empty:
                terminal.note(
                    "No recorded traffic, so nothing is simulated. Name some with --traffic, or put it in traffic/."
                )
            return Subject(plan, command=command)
        load_stations(chosen.directory)
        recorded = read_traffic(files, seed=seed, scale=scale, users=users)
        forecast = simulate(plan, recorded, runs=runs, seed=seed, detect=detect)
        return Subject(judged(project, plan, forecast, rules), [Named("forecast", forecast)], command=command)


def _failure(error: Exception) -> str:
    """The comment of a declaration that can't be planned: an old verdict must not stand in its place."""
    from rollcast.cli.failures import sentences
    from rollcast.cli.reports.escaping import markdown

    lines = [f"- {markdown(sentence, 600)}" for sentence in sentences(error)][:50]
    return "\n".join(["## ❌ This can't be planned or simulated", "", *lines, ""])


def _publish(text: str, mark: str, where: Where, dry_run: bool, markdown: Path | None) -> None:
    """The comment, the job's summary, the file; standard output where it would be nowhere else."""
    if markdown is not None:
        files.write(markdown, text, "The report")
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(text)
    if not publish(text, mark, where, dry_run) and markdown is None and not summary:
        terminal.out(text.rstrip("\n"))


def register(app: typer.Typer) -> None:
    app.command()(review)
