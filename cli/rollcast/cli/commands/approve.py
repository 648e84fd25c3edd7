"""`rollcast approve`: one of those whom an environment names agrees to a plan, or confirms the next milestone."""

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
    deny: Annotated[
        bool, typer.Option("--deny", help="Deny the confirmation that the rollout under way waits for.")
    ] = False,
    milestone: Annotated[
        int | None,
        typer.Option("--milestone", metavar="N", help="Answer for this milestone, and for nothing else."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept in the ledger.")] = "",
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write the result.")] = "text",
) -> None:
    """Approve a plan for an environment that asks for it, or confirm the milestone that a rollout waits to begin.

    Without a file, a rollout under way that waits for a confirmation comes first. Kept in the ledger with who and when.
    """
    from rollcast.cli.output.plan_details import brief_of
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.eligibility.approvals import approve as write
    from rollcast.stacks.eligibility.approvals import may_approve
    from rollcast.stacks.ledger.rollouts import ledger_of
    from rollcast.stacks.rollout.elsewhere import refuse_foreign

    project = project_of(context)
    if plan is not None and milestone is not None:
        raise StackError("A plan is approved before it begins, a milestone confirmed after. Leave out one of the two.")
    if plan is None and _answered(project, milestone, not deny, reason, auto_approve, format_):
        return
    if deny or milestone is not None:
        raise StackError("No milestone waits for a confirmation here, so nothing is answered. See 'rollcast status'.")
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


def _answered(
    project: Project,
    wanted: int | None,
    confirmed: bool,
    reason: str,
    auto_approve: bool,
    format_: Literal["text", "json"],
) -> bool:
    """Answers the confirmation that the rollout under way waits for; False where it waits for none.

    Raises StackError where that is not the milestone that is `wanted`.
    """
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.confirming.answers import answer, awaited_of, may_answer
    from rollcast.stacks.ledger.rollouts import existing_of, load, under_way
    from rollcast.stacks.rollout.checkpoint import Checkpoint

    ledger = existing_of(project)
    started = under_way(ledger) if ledger is not None else None
    if ledger is None or started is None:
        return False
    context = load(ledger, started)
    milestone = awaited_of(context.plan, Checkpoint.of(ledger.position(started.rollout)).position)
    if milestone is None:
        return False
    if wanted is not None and wanted != milestone.index:
        raise StackError(
            f"{context.id} waits before milestone {milestone.index}, not before {wanted}. See 'rollcast status'."
        )
    by = may_answer(milestone)
    verb, what = ("Confirm" if confirmed else "Deny"), f"milestone {milestone.index}, {terminal.clean(milestone.title)}"
    if format_ == "text":
        releases = ", ".join(dict.fromkeys(context.plan.to_release.values()))
        terminal.out(f"{context.id}: {releases} waits before {what}.")
    if not auto_approve and not terminal.confirm(f"{verb} {what}, as {by}?"):
        terminal.note("Nothing was written down.")
        raise typer.Exit(1)
    found, changed = answer(ledger, context, milestone, confirmed=confirmed, reason=reason)
    if format_ == "json":
        about = {"environment": project.environment_name, "rollout": context.id, "plan_digest": context.plan_digest}
        said = {"by": by, "confirmed": confirmed, "changed": changed, "confirm": found.to_json()}
        terminal.out_json({"format_version": "1.0", **about, **said})
        return True
    head = f"{'Confirmed' if confirmed else 'Denied'} by {terminal.clean(by)}" + ("" if changed else " before")
    rest = "the rollout is rolled back" if found.rolls_back else terminal.clean(found.sentence) or "the rollout goes on"
    holder = ledger.holder()
    idle = holder is None or holder[0].is_gone or holder[1] <= 0
    then = " No process is at work on it now: 'rollcast apply --resume' goes on." if idle else ""
    terminal.out(f"{head}: {rest}.{then}")
    return True


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
