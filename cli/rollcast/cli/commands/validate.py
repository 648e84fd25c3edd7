"""`rollcast validate`: every mistake of the declaration at once."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import options_of, project_of


def validate(
    context: typer.Context,
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write the result.")] = "text",
) -> None:
    """Check the declaration: every mistake at once, with its line and remedy."""
    from dataclasses import asdict

    from rollcast.planner.base.errors import DeclarationError
    from rollcast.planner.releases.releases import releases_of

    try:
        project = project_of(context, profiles=True)
    except DeclarationError as error:
        if format_ != "json":
            raise
        mistakes = [asdict(diagnostic) for diagnostic in error.diagnostics]
        terminal.out_json({"format_version": "1.0", "valid": False, "diagnostics": mistakes})
        raise typer.Exit(1) from None
    project.refuse_templates()
    releases = releases_of(project.declaration, project.digests)
    if format_ == "json":
        ids = {line: release.id for line, release in releases.items()}
        terminal.out_json({"format_version": "1.0", "valid": True, "diagnostics": [], "releases": ids})
        return
    slots = sum(len(release.slots) for release in releases.values())
    file = options_of(context).file
    terminal.out(
        f"{file} is valid: {len(releases)} channel(s), {slots} component(s), {len(project.digests)} artifact(s)."
    )
    for track, release in releases.items():
        terminal.out(f"  {track}: {release.id}")


def register(app: typer.Typer) -> None:
    app.command()(validate)
