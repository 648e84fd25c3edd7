"""`rollcast approve`: one of those whom an environment names agrees to a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.planner.plan.models import Plan
    from rollcast.stacks.project import Project


def approve(
    context: typer.Context,
    plan: Annotated[Path | None, typer.Argument(help="A saved plan; without one, what 'rollcast plan' shows.")] = None,
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")] = "",
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write the result.")] = "text",
) -> None:
    """Approve a plan for an environment that asks for it; kept in the ledger with who and when."""
    from rollcast.cli.output.plan_details import brief_of
    from rollcast.stacks.eligibility.approvals import approve as write
    from rollcast.stacks.eligibility.approvals import may_approve
    from rollcast.stacks.ledger.rollouts import ledger_of
    from rollcast.stacks.rollout.elsewhere import refuse_foreign

    project = project_of(context)
    name, after = project.environment_name, project.environment.after
    by = may_approve(name, after)
    refuse_foreign(project)
    chosen = _chosen(project, plan)
    if format_ == "text":
        terminal.out(brief_of(chosen))
    if not chosen.empty and not auto_approve and not terminal.confirm(f"Approve this plan as {by}?"):
        terminal.note("Nothing was approved.")
        raise typer.Exit(1)
    found = write(ledger_of(project), name, after, chosen, reason)
    if format_ == "json":
        about = {"environment": name, "plan_digest": chosen.digest, "releases": chosen.to_release, "by": by}
        terminal.out_json({"format_version": "1.0", **about, "approvals": found.to_json()})
        return
    rest = found.sentence or "every approval that is needed is there"
    terminal.out(f"Approved by {terminal.clean(by)}, plan {chosen.digest[:19]}: {terminal.clean(rest)}.")


def _chosen(project: Project, saved: Path | None) -> Plan:
    """The saved plan where it still fits, or the one that apply would carry out. Raises StaleError."""
    from rollcast.cli.inputs.plans import plan_of, read_plan
    from rollcast.stacks.base.errors import StaleError
    from rollcast.stacks.rollout.drift import baseline_of
    from rollcast.stacks.rollout.stale_plan import refuse_stale
    from rollcast.stacks.rollout.supersede import after_supersede

    if saved is None:
        return plan_of(project).plan
    found = read_plan(saved, approved=True)
    if found.environment != project.environment_name:
        raise StaleError(
            f"{saved} is a plan of environment '{found.environment}', not of '{project.environment_name}'. "
            f"Name that one with --env {found.environment}."
        )
    first = after_supersede(project)
    refuse_stale(project, found, first.baseline if first else baseline_of(project))
    return found


def register(app: typer.Typer) -> None:
    app.command()(approve)
