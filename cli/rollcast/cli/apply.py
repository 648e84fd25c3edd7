"""`rollcast apply`: shows the plan and the forecast, asks, then carries it out gate by gate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.options import project_of

if TYPE_CHECKING:
    from rollcast.cli.plans import Planned
    from rollcast.planner.plan import Plan
    from rollcast.simulator.forecast import Forecast
    from rollcast.stacks.driver import Ended
    from rollcast.stacks.project import Project

Format = Literal["text", "json"]
FormatOption = Annotated[Format, typer.Option("--format", help="Lines for people, or one JSON object a line.")]
Tell = Callable[[Any], None]


def apply(
    context: typer.Context,
    plan: Annotated[Path | None, typer.Argument(help="A saved plan; without one, what 'rollcast plan' shows.")] = None,
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the rollout under way.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Go as far as the evidence allows now; exit 5 if more.")] = False,
    supersede: Annotated[
        bool, typer.Option("--supersede", help="Lead the rollout under way back first, then carry out the new plan.")
    ] = False,
    forecast: Annotated[
        bool, typer.Option("--forecast/--no-forecast", help="Replay the traffic in traffic/ through the plan first.")
    ] = True,
    format_: FormatOption = "text",
) -> None:
    """Carry out a plan, gate by gate; a failed gate rolls back without a question."""
    from rollcast.cli.guarding import refuse
    from rollcast.cli.plans import read_plan
    from rollcast.stacks import applying, steering
    from rollcast.stacks.errors import StackError

    project = project_of(context)
    if resume and (plan is not None or supersede):
        raise StackError("--resume goes on with the plan under way. Leave out the plan and --supersede, or --resume.")
    approved = read_plan(plan, approved=True) if plan is not None else None
    going = _under_way(project)
    if resume or (once and plan is None and going and not supersede):
        with teller(format_) as tell:
            go_on = steering.go_on if resume else applying.resume
            ended = go_on(project, tell, once=once)
        close(project, ended, format_)
    if supersede and going:
        _lead_back(project, format_)
    made, drift = _chosen(project, approved)
    expected = _forecast(project, made) if forecast and not made.empty else None
    made = _judged(project, made, expected, saved=plan is not None)
    _show(made, expected, format_, drift, saved=plan is not None)
    refuse(made, "apply")
    if (drift or not made.empty) and not auto_approve and not terminal.confirm(_question(made, drift)):
        terminal.note("Nothing was changed.")
        raise typer.Exit(1)
    kept = expected.to_json() if expected else None
    with teller(format_, made, expected) as tell:
        ended = applying.start(project, made, tell, once=once, forecast=kept)
    close(project, ended, format_)


def _under_way(project: Project) -> bool:
    from rollcast.stacks import rollouts
    from rollcast.stacks.applying import ledger_of

    return rollouts.under_way(ledger_of(project)) is not None


def _lead_back(project: Project, format_: Format) -> None:
    """The rollout under way goes back before another one begins; where it can't, that is the end of it."""
    from rollcast.stacks.steering import lead_back

    with teller(format_) as tell:
        ended = lead_back(project, tell, "superseded by a new declaration")
    if int(ended.exit) not in (0, 4):
        close(project, ended, format_)


def _chosen(project: Project, approved: Plan | None) -> Planned:
    """The saved plan, or the one that takes what is live to what is declared; and what was changed by hand."""
    from rollcast.cli.plans import Planned, plan_of
    from rollcast.stacks.drifting import drift_of

    return plan_of(project) if approved is None else Planned(approved, tuple(drift_of(project)))


def _forecast(project: Project, plan: Plan) -> Forecast | None:
    """The forecast of one run over the recorded traffic of the project; None where there is no traffic."""
    from rollcast.cli.simulate import traffic_of
    from rollcast.simulator.own_stations import load_stations
    from rollcast.simulator.simulate import simulate
    from rollcast.simulator.traffic import read_traffic

    files = traffic_of(project.folder)
    if not files or not any(plan.from_release.values()):
        return None
    terminal.note(f"Replaying {', '.join(file.name for file in files)} through the plan (--no-forecast leaves it out)…")
    load_stations(project.folder)
    return simulate(plan, read_traffic(files))


def _question(plan: Plan, drift: Sequence[str]) -> str:
    if not drift:
        return "Carry out this plan?"
    return "Put this back?" if plan.empty else "Put this back and carry out this plan?"


def _show(plan: Plan, forecast: Forecast | None, format_: Format, drift: Sequence[str], saved: bool) -> None:
    """A plan that was saved was read then: it is named here, and shown whole only where it is new."""
    from rollcast.cli.plan import show_drift
    from rollcast.cli.show_forecast import text_of as forecast_text
    from rollcast.cli.show_plan import brief_of, text_of

    if format_ == "json":
        return
    show_drift(drift)
    terminal.out(brief_of(plan) if saved else text_of(plan))
    if forecast is not None:
        terminal.out("")
        terminal.out(forecast_text(forecast))


def _judged(project: Project, plan: Plan, forecast: Forecast | None, saved: bool) -> Plan:
    """The plan judged today, with its forecast where there is one. Raises StaleError on a plan of other policies."""
    from rollcast.cli.guarding import judged, judged_again

    return judged_again(project, plan, forecast) if saved else judged(project, plan, forecast)


def teller(format_: Format, plan: Plan | None = None, forecast: Forecast | None = None) -> Any:
    """How events are told: a context that gives a function which takes each of them."""
    from contextlib import nullcontext

    from rollcast.cli.show_rollout import Lines, tell_json

    if format_ == "json":
        return nullcontext(tell_json)
    if terminal.coloured() and plan is not None:
        from rollcast.cli.show_live import LiveView

        return LiveView(plan, forecast)
    return nullcontext(Lines().tell)


def close(project: Project, ended: Ended, format_: Format) -> None:
    """The last words of a rollout, and its exit code."""
    from rollcast.cli.show_rollout import tell_json
    from rollcast.cli.show_status import measured, not_judged
    from rollcast.stacks.status import asked_now
    from rollcast.stacks.status import measured as measure

    found = measure(ended.tally, asked_now(project))
    if format_ == "json":
        tell_json({"event": "ended", "exit": int(ended.exit), "outcome": ended.outcome, "reason": ended.reason,
                   "measured": found})  # fmt: skip
    else:
        word = (ended.outcome or ended.exit.name).replace("_", " ").lower()
        terminal.out(f"{terminal.paint(word.capitalize(), bold=True)}: {terminal.clean(ended.reason)}")
        if found["requests"] or any(not_judged(found)):
            terminal.out(measured(found))
    raise typer.Exit(int(ended.exit))


def register(app: typer.Typer) -> None:
    app.command()(apply)
