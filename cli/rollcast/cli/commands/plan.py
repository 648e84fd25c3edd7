"""`rollcast plan`: from what is live to what is declared, or from what another declaration says is released."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import FromOption, note_others, project_of

if TYPE_CHECKING:
    from rollcast.planner.plan.models import Plan
    from rollcast.planner.rollout.detection import StagePower
    from rollcast.stacks.eligibility.rule import Eligibility
    from rollcast.stacks.project import Project
    from rollcast.stacks.rollout.supersede import AfterSupersede

Format = Literal["text", "json", "markdown", "mermaid", "dot"]


def plan(
    context: typer.Context,
    saved: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="Show this saved plan again.")] = None,
    from_: FromOption = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Save the plan for apply.")] = None,
    sign: Annotated[
        bool, typer.Option("--sign", help="Sign what --out saves, with the key in ROLLCAST_SIGNING_KEY.")
    ] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to write the plan.")] = "text",
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 when there are changes.")
    ] = False,
    traffic: Annotated[
        list[Path] | None,
        typer.Option("--traffic", metavar="FILE", help="Call out margins that stages can't detect with this traffic."),
    ] = None,
    scale: Annotated[float, typer.Option("--scale", metavar="X", help="Multiplies its arrival rate.")] = 1.0,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="As text: every milestone and operation, each reason.")
    ] = False,
    refresh_only: Annotated[
        bool, typer.Option("--refresh-only", help="Only say what was changed by hand since the last rollout.")
    ] = False,
) -> None:
    """Show what would change, in which order, and the rollback."""
    from rollcast.cli.inputs.guardrails import refuse
    from rollcast.cli.inputs.plan_signature import signer, signing_key
    from rollcast.cli.inputs.plans import Planned, plan_of, read_plan, save_plan
    from rollcast.stacks.base.errors import IneligibleError, StackError
    from rollcast.stacks.eligibility.rule import eligibility_of

    if refresh_only:
        _drift(project_of(context), format_, detailed_exitcode)
        return
    if sign and (out is None or saved is not None):
        raise StackError("--sign signs a plan as it is made and saved. Name the file: rollcast plan --out FILE --sign")
    key = signing_key() if sign else None
    if saved is not None:
        found, may_enter = Planned(read_plan(saved), ()), None
    else:
        project = project_of(context)
        note_others(project)
        found = plan_of(project, from_, signed_by=signer(key) if key is not None else "")
        may_enter = eligibility_of(project, found.plan) if from_ is None else None
    made, drift = found.plan, found.drift
    if out is not None:
        save_plan(made, out, key)
    stands = "" if saved is not None or from_ is not None else _stands_still(project, made)
    show(made, format_, _power(made, traffic, scale), drift, found.supersedes, may_enter, stands, verbose=verbose)
    if out is not None:
        signed = f", signed by key {made.signed_by}" if made.signed_by else ""
        terminal.note(f"Saved to {out}{signed}. Carry it out with: rollcast apply {out}")
    if saved is None:
        refuse(made, "plan")
    if may_enter is not None and (refused := may_enter.refusal()):
        raise IneligibleError(refused)
    if detailed_exitcode and (drift or not made.empty):
        raise typer.Exit(2)


def show_drift(drift: Sequence[str]) -> None:
    """Says what was changed by hand, where anything was."""
    if not drift:
        return
    terminal.out(terminal.paint("Changed by hand since the last rollout; apply puts it back", bold=True))
    _list(drift)
    terminal.out("")


def _list(drift: Sequence[str]) -> None:
    for text in drift:
        terminal.out(terminal.paint(f"  ~ {terminal.clean(text)}", "yellow"))


def _power(made: Plan, files: list[Path] | None, scale: float) -> tuple[StagePower, ...] | None:
    """What each stage can detect with recorded traffic; None when none is given. Raises TrafficError."""
    if not files:
        return None
    from rollcast.simulator.forecast.margins import power_of
    from rollcast.simulator.traffic.recording import read_traffic

    return power_of(made, read_traffic(files, scale=scale))


def show_superseded(first: AfterSupersede | None) -> None:
    """Says what is rolled back before a plan begins, where anything is."""
    if first is None:
        return
    head = f"Rollout {first.context.id} is under way. 'rollcast apply --supersede' rolls it back first, then does this"
    terminal.out(terminal.paint(head, bold=True))
    for number, title in enumerate(first.steps, 1):
        terminal.out(terminal.paint(f"  {number}. back: {title}", "yellow"))
    terminal.out("")


def show(
    made: Plan,
    format_: Format,
    power: tuple[StagePower, ...] | None = None,
    drift: Sequence[str] = (),
    first: AfterSupersede | None = None,
    may_enter: Eligibility | None = None,
    stands: str = "",
    *,
    verbose: bool = False,
) -> None:
    """Writes a plan in one of its forms; as text and JSON with what its stages can detect, where that is known.

    `drift` is what was changed by hand before it, `first` what is rolled back before it; diagrams leave both out.
    `may_enter`: whether its environment is open to it, which JSON says. `stands`: what would hold it up now.
    """
    from rollcast.cli.inputs.saved import sealed
    from rollcast.cli.output import margins as show_margins

    if format_ == "json":
        detectable = {} if power is None else {"detectable": show_margins.json_of(power)}
        before = {"supersedes": {"rollout": first.context.id, "way_back": list(first.steps)}} if first else {}
        drifted = {"drift": list(drift)} if drift else {}
        entering = {"eligibility": may_enter.to_json()} if may_enter else {}
        held = {"standstill": stands} if stands else {}
        terminal.out_json(sealed({**made.to_json(), **drifted, **before, **detectable, **entering, **held}))
    elif format_ == "markdown":
        from rollcast.cli.output.plan_formats.markdown import markdown_of

        terminal.out(markdown_of(made))
    elif format_ == "mermaid":
        from rollcast.cli.reports.diagram import mermaid_of
        from rollcast.cli.reports.graph import frames_of

        terminal.out(mermaid_of(frames_of(made)))
    elif format_ == "dot":
        from rollcast.cli.output.plan_formats.dot import dot_of

        terminal.out(dot_of(made))
    else:
        from rollcast.cli.output.plan import text_of

        show_superseded(first)
        show_drift(drift)
        terminal.out(text_of(made, verbose=verbose))
        for line in () if power is None else ("", *show_margins.lines_of(power)):
            terminal.out(line)
        if stands:
            terminal.out(terminal.paint(terminal.clean(stands), "yellow"))


def _stands_still(project: Project, made: Plan) -> str:
    """What would hold a plan up that began now: a freeze or the brake, or a freeze that comes before its end."""
    import time

    from rollcast.cli.output.plan import between
    from rollcast.cli.reports.steps import steps_of, whole_course_s
    from rollcast.planner.declaration.freezes import next_freeze
    from rollcast.stacks.base.clock import moment
    from rollcast.stacks.rollout.standstill import standstill_of

    if made.empty:
        return ""
    found = standstill_of(project)
    if found is not None:
        return found.refusal
    now_s = time.time()
    least_s, most_s = whole_course_s(made, steps_of(made))
    coming = next_freeze(project.environment.freezes, now_s)
    if coming is None or now_s + most_s <= coming.from_s:
        return ""
    would = "would" if now_s + least_s > coming.from_s else "may"
    return (
        f"Begun now, it {would} stand still from {moment(coming.from_s)} until {moment(coming.until_s)} "
        f"({coming.reason}): it takes {between(least_s, most_s)}."
    )


def _drift(project: Project, format_: Format, detailed_exitcode: bool) -> None:
    """What serves against what the last rollout left: nothing is planned and nothing is changed."""
    from rollcast.stacks.rollout.drift import drift_of

    found = drift_of(project)
    if format_ == "json":
        where = {"pipeline": project.declaration.pipeline, "environment": project.environment_name}
        terminal.out_json({"format_version": "1.0", **where, "drift": found})
    else:
        head = f"{project.declaration.pipeline} in {project.environment_name}"
        terminal.out(f"{head}: {f'{len(found)} thing(s) drifted.' if found else 'no drift.'}")
        _list(found)
        if found:
            terminal.out(
                "'rollcast apply' puts it back; while a rollout is under way 'rollcast abort' rolls back from it."
            )
    if detailed_exitcode and found:
        raise typer.Exit(2)


def register(app: typer.Typer) -> None:
    app.command()(plan)
