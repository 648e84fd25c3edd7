"""`rollcast lineage`: what an artifact was made from, and what has to be rebuilt when it changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from rollcast.cli import files, terminal
from rollcast.cli.inputs.options import project_of

LineageFormat = Literal["text", "json", "mermaid", "html"]


def lineage(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]…", help="`name@version`, or `name` for all versions; else all."),
    ] = None,
    format_: Annotated[LineageFormat, typer.Option("--format", help="How to draw it.")] = "text",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there.")] = None,
) -> None:
    """Draw what artifacts were made from, and what was made from them."""
    import json

    from rollcast.cli.inputs.names import require_artifacts
    from rollcast.cli.output.lineage import text_of
    from rollcast.cli.reports.lineage import json_of, lineage_of, mermaid_of
    from rollcast.planner.releases.releases import releases_of

    project = project_of(context)
    artifacts = {artifact.reference: artifact for artifact in project.declaration.artifacts}
    require_artifacts(project.declaration, names or ())
    chosen = [ref for ref, one in artifacts.items() if not names or ref in names or one.name in names]
    used_by: dict[str, list[str]] = {}
    for line, release in releases_of(project.declaration, project.digests).items():
        for slot, version in release.slots.items():
            used_by.setdefault(version.reference, []).append(slot if line == "default" else f"{slot} of {line}")
    found = lineage_of(artifacts, project.locked, chosen, used_by)
    if format_ == "html":
        from rollcast.cli.reports.lineage_page import lineage_page

        text = lineage_page(project.declaration.pipeline, found)
    elif format_ == "mermaid":
        text = mermaid_of(found)
    elif format_ == "json":
        text = json.dumps(json_of(found), indent=2)
    else:
        text = "\n".join(terminal.clean(line) for line in text_of(found))
    if out is None:
        terminal.out(text.rstrip("\n"))
        return
    files.write(out, text.rstrip("\n") + "\n", "The lineage")
    terminal.note(f"The lineage is in {out}.")


def register(app: typer.Typer) -> None:
    app.command()(lineage)
