"""`rollcast doctor`: whether the connected service is as a rollout needs it, address by address."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of


def doctor(
    context: typer.Context,
    probe: Annotated[
        Path | None,
        typer.Option("--probe", metavar="FILE", help="How to ask the service, for the points that take a request."),
    ] = None,
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write it.")] = "text",
) -> None:
    """Test the connected service: addresses, relays, kits, hashes, tokens, the protocol. Exit 1 on a problem.

    Nothing is changed, and no flag is written: 'rollcast dataplane check' tests the rest on a replica without users.
    """
    from rollcast.stacks.conformance.diagnosis import Health, diagnose
    from rollcast.stacks.conformance.probe import read_probe

    project = project_of(context)
    colours = {Health.OK: "green", Health.WARNING: "yellow", Health.PROBLEM: "red", Health.NOT_JUDGED: None}
    found = []
    for each in diagnose(project, read_probe(probe) if probe else None):
        found.append(each)
        if format_ == "text":
            head = terminal.paint(f"{each.health.value:<10}", colours[each.health])
            terminal.out(f"{head} {terminal.clean(each.subject)}: {terminal.clean(each.detail)}")
    counts = {health: sum(each.health is health for each in found) for health in Health}
    if format_ == "json":
        checks = [{"subject": each.subject, "health": each.health.value, "detail": each.detail} for each in found]
        terminal.out_json({"format_version": "1.0", "healthy": not counts[Health.PROBLEM], "checks": checks})
    else:
        terminal.out("")
        terminal.out(
            f"{len(found)} checks: {counts[Health.OK]} ok, {counts[Health.WARNING]} to look at, "
            f"{counts[Health.PROBLEM]} wrong, {counts[Health.NOT_JUDGED]} not judged."
        )
    if counts[Health.PROBLEM]:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    app.command()(doctor)
