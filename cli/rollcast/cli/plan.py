"""`rollcast plan`: from what is live to what is declared, or from what another declaration says is released."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.options import project_of

if TYPE_CHECKING:
    from rollcast.planner.plan import Plan
    from rollcast.stacks.project import Project

Format = Literal["text", "json"]


def plan(
    context: typer.Context,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DECLARATION", help="Plan from this declaration, not from live.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Save the plan for apply.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to write the plan.")] = "text",
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when there are changes.")
    ] = False,
) -> None:
    """Show what would change, in which order, and the way back."""
    from rollcast.cli.guarding import refuse
    from rollcast.cli.show_plan import text_of

    made = plan_of(project_of(context), from_)
    if out is not None:
        save(made, out)
    if format_ == "json":
        terminal.out_json(made.to_json())
    else:
        terminal.out(text_of(made))
        if out is not None:
            terminal.out(f"\nSaved to {out}. Carry it out with: rollcast apply {out}")
    refuse(made, "plan")
    if detailed_exitcode and not made.empty:
        raise typer.Exit(2)


def plan_of(project: Project, from_: str | None = None) -> Plan:
    """The plan of a project, judged, and bound to what it was made from.

    Raises PlannerError, StackError or PolicyError.
    """
    from rollcast.cli.guarding import judged
    from rollcast.planner.plan import Binding
    from rollcast.planner.planning import live_as_declared, make_plan
    from rollcast.stacks.project import tool_version

    if from_ is not None:
        live = live_as_declared(*project.sibling(from_))
    else:
        from rollcast.stacks.live import read_live

        live = read_live(project)
    made = make_plan(project.declaration, live, project.environment_name, project.digests)
    binding = Binding(
        serial=live.serial,
        declaration_digest=project.declaration_digest,
        lock_digest=project.lock_digest,
        tool_version=tool_version(),
    )
    return judged(project, made.model_copy(update={"binding": binding}))


def save(made: Plan, path: Path) -> None:
    """Writes a plan for `apply`, readable by its owner alone. Raises StackError."""
    import json
    import os

    from rollcast.stacks.errors import StackError

    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(made.to_json(), file, indent=2, ensure_ascii=False)
            file.write("\n")
    except OSError as error:
        raise StackError(f"The plan can't be saved to {path} ({error.strerror}). Choose another place.") from None


def register(app: typer.Typer) -> None:
    app.command()(plan)
