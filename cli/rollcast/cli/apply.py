"""`rollcast apply`: shows the plan and the forecast, asks, then carries it out gate by gate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.options import project_of

if TYPE_CHECKING:
    from rollcast.planner.plan import Plan
    from rollcast.stacks.driver import Ended
    from rollcast.stacks.project import Project

Format = Literal["text", "json"]
FormatOption = Annotated[Format, typer.Option("--format", help="Lines for people, or one JSON object a line.")]


def apply(
    context: typer.Context,
    plan: Annotated[Path | None, typer.Argument(help="A saved plan; without one, what 'rollcast plan' shows.")] = None,
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the rollout under way.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Go as far as the evidence allows now; exit 5 if more.")] = False,
    format_: FormatOption = "text",
) -> None:
    """Carry out a plan, gate by gate; a failed gate rolls back without a question."""
    from rollcast.cli.guarding import refuse
    from rollcast.stacks import applying
    from rollcast.stacks.errors import StackError

    project = project_of(context)
    if resume and plan is not None:
        raise StackError("--resume goes on with the plan under way. Leave out the plan, or leave out --resume.")
    tell = teller(format_)
    if resume or (once and plan is None and _under_way(project)):
        order = {"order": "resume"} if resume else None
        close(project, applying.resume(project, tell, once=once, order=order), format_)
    made = _judged(project, _read(plan), saved=True) if plan else _judged(project, _planned(context))
    if format_ == "text":
        _show(made)
    refuse(made, "apply")
    if not made.empty and not auto_approve and not terminal.confirm("Carry out this plan?"):
        terminal.note("Nothing was changed.")
        raise typer.Exit(1)
    close(project, applying.start(project, made, tell, once=once), format_)


def _under_way(project: Project) -> bool:
    from rollcast.stacks import rollouts
    from rollcast.stacks.applying import ledger_of

    return rollouts.under_way(ledger_of(project)) is not None


def _planned(context: typer.Context) -> Plan:
    from rollcast.cli.plan import plan_of

    return plan_of(project_of(context))


def _read(path: Path) -> Plan:
    """A saved plan. Raises StackError."""
    import json

    from rollcast.planner.plan import Plan
    from rollcast.stacks.errors import StackError

    try:
        return Plan.from_json(json.loads(path.read_text("utf-8")))
    except OSError as error:
        raise StackError(f"{path} can't be read ({error.strerror}). Save a plan with 'rollcast plan --out'.") from None
    except (ValueError, KeyError, TypeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StackError(f"{path} is no saved plan ({first}). Save one with 'rollcast plan --out'.") from None


def _judged(project: Project, made: Plan, saved: bool = False) -> Plan:
    """The plan judged today; with a forecast from the recorded traffic where a mandatory guardrail asks for one."""
    from rollcast.cli.guarding import asks_for_forecast, judged, judged_again
    from rollcast.cli.simulate import traffic_of
    from rollcast.simulator.simulate import simulate
    from rollcast.simulator.traffic import read_traffic

    made = judged_again(project, made) if saved else made
    files = traffic_of(project.folder)
    if made.empty or not files or not asks_for_forecast(made):
        return made
    terminal.note("A mandatory guardrail asks for a forecast: simulating with the recorded traffic.")
    return judged(project, made, simulate(made, read_traffic(files), runs=1))


def _show(plan: Plan) -> None:
    from rollcast.cli.show_plan import text_of

    terminal.out(text_of(plan))


def teller(format_: Format) -> Callable[[Any], None]:
    """How events are told."""
    from rollcast.cli.show_rollout import Lines, tell_json

    return tell_json if format_ == "json" else Lines().tell


def close(project: Project, ended: Ended, format_: Format) -> None:
    """The last words of a rollout, and its exit code."""
    from rollcast.cli.show_rollout import tell_json
    from rollcast.cli.show_status import measured
    from rollcast.stacks.status import asked_now
    from rollcast.stacks.status import measured as measure

    found = measure(ended.tally, asked_now(project))
    if format_ == "json":
        tell_json({"event": "ended", "exit": int(ended.exit), "outcome": ended.outcome, "reason": ended.reason,
                   "measured": found})  # fmt: skip
    else:
        word = (ended.outcome or ended.exit.name).replace("_", " ").lower()
        terminal.out(f"{terminal.paint(word.capitalize(), bold=True)}: {terminal.clean(ended.reason)}")
        if found["requests"]:
            terminal.out(measured(found))
    raise typer.Exit(int(ended.exit))


def register(app: typer.Typer) -> None:
    app.command()(apply)
