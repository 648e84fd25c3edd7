"""`rollcast apply`: shows the plan and the forecast, asks, then carries it out gate by gate.

Long because the command's options decide together.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NoReturn

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.cli.inputs.plans import Planned
    from rollcast.planner.plan.models import Plan
    from rollcast.simulator.forecast.models import Forecast
    from rollcast.stacks.project import Project
    from rollcast.stacks.rollout.driver import Ended
    from rollcast.stacks.rollout.start import UnderWay
    from rollcast.stacks.rollout.supersede import AfterSupersede

Format = Literal["text", "json"]
FormatOption = Annotated[Format, typer.Option("--format", help="Lines for people, or one JSON object a line.")]
Emit = Callable[[Any], None]


def apply(
    context: typer.Context,
    plan: Annotated[Path | None, typer.Argument(help="A saved plan; without one, what 'rollcast plan' shows.")] = None,
    auto_approve: Annotated[bool, typer.Option("--auto-approve", help="Do not ask.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the rollout under way.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Go as far as the evidence allows now; exit 5 if more.")] = False,
    supersede: Annotated[
        bool,
        typer.Option(
            "--supersede", help="Replace the rollout under way: it is rolled back once the new plan is approved."
        ),
    ] = False,
    hotfix: Annotated[
        str | None,
        typer.Option(
            "--hotfix", metavar="REASON", help="Do not wait until it has served the environment before; kept with why."
        ),
    ] = None,
    forecast: Annotated[
        bool, typer.Option("--forecast/--no-forecast", help="Replay the traffic in traffic/ through the plan first.")
    ] = True,
    format_: FormatOption = "text",
) -> None:
    """Carry out a plan, gate by gate; a failed gate rolls back without a question."""
    from rollcast.cli.inputs.plans import read_plan
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.rollout import steering
    from rollcast.stacks.rollout.driver import Ended, Exit
    from rollcast.stacks.rollout.elsewhere import refuse_foreign
    from rollcast.stacks.rollout.stale_plan import refuse_stale
    from rollcast.stacks.rollout.start import found_under_way, start

    project = project_of(context)
    if resume and (plan is not None or supersede):
        raise StackError("--resume goes on with the plan under way. Leave out the plan and --supersede, or --resume.")
    urgent = _hotfix_reason(project, hotfix, resume)
    approved = read_plan(plan, approved=True) if plan is not None else None
    if resume:
        found = found_under_way(project)
        _note_declared(project, found)
        with event_reader(format_) as emit:
            ended = steering.go_on(project, emit, found, once=once)
        close(project, ended, format_)
    refuse_foreign(project)
    made = _judged(
        project, _chosen(project, approved, once, supersede, format_, urgent), forecast, approved is not None
    )
    refused = _confirmed(project, made, format_, once, auto_approve, approved is not None, urgent)
    if made.supersedes is not None:
        if approved is not None:
            refuse_stale(project, approved, made.supersedes.baseline)
        back = _roll_back_first(project, format_)
        if refused:
            close(project, Ended(Exit.HELD, refused, back.tally), format_)
        again = _chosen(project, approved, once, False, format_, urgent)
        if once and again.plan.empty and not again.drift:
            close(project, back, format_)
        if again.plan.digest != made.plan.digest or again.drift:
            terminal.note("What the rollback left is not what was foreseen, so the plan is another one.")
            made = _judged(project, again, forecast, approved is not None)
            _confirmed(project, made, format_, once, auto_approve, approved is not None, urgent)
    kept = made.forecast.to_json() if made.forecast else None
    with event_reader(format_, made.plan, made.forecast) as emit:
        ended = start(project, made.plan, emit, once=once, forecast=kept, hotfix=urgent)
    close(project, ended, format_)


class _Judged(NamedTuple):
    """A plan as it was judged, with its forecast, what was changed by hand, and what is rolled back before it."""

    plan: Plan
    drift: tuple[str, ...]
    supersedes: AfterSupersede | None
    forecast: Forecast | None


def _hotfix_reason(project: Project, hotfix: str | None, resume: bool) -> str:
    """Why it can't wait; empty where it is no hotfix.

    Raises StackError where one is not allowed, is without a reason, or would be one of what began already.
    """
    from rollcast.stacks.base.errors import StackError
    from rollcast.stacks.eligibility.rule import refuse_hotfix

    if hotfix is None:
        return ""
    if not hotfix.strip():
        raise StackError("Say why it can't wait: rollcast apply --hotfix REASON")
    if resume:
        raise StackError("--resume goes on with what began already. Leave out --hotfix.")
    refuse_hotfix(project.environment_name, project.environment.after)
    return hotfix


def _chosen(
    project: Project, approved: Plan | None, once: bool, supersede: bool, format_: Format, hotfix: str
) -> Planned:
    """The saved plan, or the one that takes what is live to what is declared.

    While a rollout is under way that is where rolling it back will end, if it is to be superseded. With `once` it is
    when another thing is declared now that may enter the environment; otherwise the rollout goes on here. Raises
    LockedError where neither is chosen.
    """
    from rollcast.cli.inputs.plans import Planned, plan_of
    from rollcast.stacks.eligibility.rule import eligibility_of
    from rollcast.stacks.ledger.rollouts import ledger_of, load, under_way
    from rollcast.stacks.rollout.drift import drift_of
    from rollcast.stacks.rollout.start import refuse_second
    from rollcast.stacks.rollout.supersede import after_supersede, is_of, leads_to, returning

    ledger = ledger_of(project)
    started = under_way(ledger)
    follows = once and approved is None and not supersede
    if started is not None and not (follows or supersede):
        refuse_second(started)
    if started is not None and follows:
        work = load(ledger, started)
        if returning(ledger, started) or is_of(project, work):
            _go_on(project, format_)
        declared = plan_of(project)
        if leads_to(project, work, declared.plan):
            _go_on(project, format_)
        may_enter = eligibility_of(project, declared.plan)
        if may_enter is not None and (refused := may_enter.refusal(hotfix)):
            terminal.note(f"{refused} Until then rollout {work.id} goes on as it began.")
            _go_on(project, format_)
        terminal.note(f"{project.file} declares something else than rollout {work.id}, which is rolled back.")
        return declared
    if approved is None:
        return plan_of(project)
    first = after_supersede(project)
    return Planned(approved, () if first else tuple(drift_of(project)), first)


def _note_declared(project: Project, found: UnderWay) -> None:
    """Says where what is about to go on is not what is declared now."""
    from rollcast.stacks.ledger.rollouts import load
    from rollcast.stacks.rollout.supersede import is_of, returning

    ledger, started = found
    if started is not None and not returning(ledger, started) and not is_of(project, load(ledger, started)):
        terminal.note(f"{project.file} or rollcast.lock changed since {started.rollout} began; it goes on as it began.")


def _go_on(project: Project, format_: Format) -> NoReturn:
    """With the rollout under way, as far as the evidence allows now."""
    from rollcast.stacks.rollout.start import resume

    with event_reader(format_) as emit:
        ended = resume(project, emit, once=True)
    close(project, ended, format_)


def _judged(project: Project, found: Planned, forecast: bool, saved: bool) -> _Judged:
    """The plan judged today, with its forecast where there is one. Raises StaleError on a plan of other policies."""
    from rollcast.cli.inputs.guardrails import judged, judged_again

    plan = found.plan
    expected = _forecast(project, plan) if forecast and not plan.empty else None
    again = judged_again(project, plan, expected) if saved else judged(project, plan, expected)
    return _Judged(again, found.drift, found.supersedes, expected)


def _confirmed(
    project: Project, made: _Judged, format_: Format, once: bool, auto_approve: bool, saved: bool, hotfix: str
) -> str:
    """Shows the plan, and leaves the command where it may not be carried out: nothing was changed until then.

    A plan that only rolls back to what is declared is not held up by guardrails, nor with `once` by a question. What
    was rejected or may not enter the environment is not begun; the answer says why where something else is still to be
    done before. For what may not enter nothing is rolled back.
    """
    from rollcast.cli.inputs.guardrails import refuse
    from rollcast.stacks.eligibility.rule import eligibility_of
    from rollcast.stacks.ledger.rejections import rejection
    from rollcast.stacks.ledger.rollouts import ledger_of
    from rollcast.stacks.rollout.driver import Ended, Exit
    from rollcast.stacks.rollout.evidence import RequestCounts
    from rollcast.stacks.rollout.notifications import note_waiting
    from rollcast.stacks.rollout.standstill import standstill_of

    plan, superseded = made.plan, made.supersedes is not None
    _show(made, format_, saved)
    if not (superseded and plan.empty):
        refuse(plan, "apply")
    refused = "" if plan.empty else rejection(ledger_of(project), plan, unattended=once)
    may_enter = eligibility_of(project, plan)
    waits = may_enter.refusal(hotfix) if may_enter is not None else ""
    stands = None if plan.empty else standstill_of(project)
    due_s = may_enter.eligible_at_s if may_enter is not None else None
    if stands is not None:
        waits = waits or stands.refusal
        due_s = None if stands.until_s is None else max(due_s or 0.0, stands.until_s)
    if may_enter is not None and not may_enter.approved:
        note_waiting(project, plan, may_enter)
    if waits and superseded:
        close(project, Ended(Exit.HELD, waits, RequestCounts(), due_s=due_s), format_)
    if hotfix and may_enter is not None and may_enter.served:
        terminal.note("Its time in the environment before is over, so this is no hotfix, and is not recorded as one.")
    refused = refused or waits
    if refused and not made.drift and not (superseded and once):
        close(project, Ended(Exit.HELD, refused, RequestCounts(), due_s=due_s), format_)
    asks = made.drift or not plan.empty or (superseded and not once)
    if asks and not auto_approve and not terminal.confirm(_question(made)):
        terminal.note("Nothing was changed.")
        raise typer.Exit(1)
    return refused


def _roll_back_first(project: Project, format_: Format) -> Ended:
    """The rollout under way goes back before another one begins; where it can't, that is the end of it."""
    from rollcast.stacks.ledger.rejections import SUPERSEDED
    from rollcast.stacks.rollout.steering import roll_back_now

    with event_reader(format_) as emit:
        ended = roll_back_now(project, emit, "superseded by a new declaration", SUPERSEDED)
    if int(ended.exit) not in (0, 4):
        close(project, ended, format_)
    return ended


def _forecast(project: Project, plan: Plan) -> Forecast | None:
    """The forecast of one run over the recorded traffic of the project; None where there is no traffic."""
    from rollcast.cli.commands.simulate import traffic_of
    from rollcast.simulator.forecast.simulate import simulate
    from rollcast.simulator.stations.custom import load_stations
    from rollcast.simulator.traffic.recording import read_traffic

    files = traffic_of(project.folder)
    if not files or not any(plan.from_release.values()):
        return None
    terminal.note(f"Replaying {', '.join(file.name for file in files)} through the plan (--no-forecast leaves it out)…")
    load_stations(project.folder)
    return simulate(plan, read_traffic(files))


def _question(made: _Judged) -> str:
    parts = ["roll back the rollout under way"] if made.supersedes else []
    parts += ["put this back"] if made.drift else []
    parts += ["carry out this plan"] if not made.plan.empty or not parts else []
    question = " and ".join(parts)
    return f"{question[0].upper()}{question[1:]}?"


def _show(made: _Judged, format_: Format, saved: bool) -> None:
    """A plan that was saved was read then: it is named here, and shown whole only where it is new."""
    from rollcast.cli.commands.plan import show_drift, show_superseded
    from rollcast.cli.output.forecast import text_of as forecast_text
    from rollcast.cli.output.plan import text_of
    from rollcast.cli.output.plan_details import brief_of

    if format_ == "json":
        return
    show_superseded(made.supersedes)
    show_drift(made.drift)
    terminal.out(brief_of(made.plan) if saved else text_of(made.plan))
    if made.forecast is not None:
        terminal.out("")
        terminal.out(forecast_text(made.forecast))


def event_reader(format_: Format, plan: Plan | None = None, forecast: Forecast | None = None) -> Any:
    """How events are shown: a context that gives a function which takes each of them."""
    from contextlib import nullcontext

    from rollcast.cli.output.rollout import Lines, emit_json

    if format_ == "json":
        return nullcontext(emit_json)
    if terminal.coloured() and plan is not None:
        from rollcast.cli.output.live import LiveView

        return LiveView(plan, forecast)
    return nullcontext(Lines().emit)


def close(project: Project, ended: Ended, format_: Format, *, by_hand: bool = False) -> NoReturn:
    """The last words of a rollout, and its exit code. `by_hand`: its plan was to go back to an earlier release."""
    from rollcast.cli.output.ending import last_words
    from rollcast.cli.output.rollout import emit_json
    from rollcast.cli.output.status import measured, not_judged
    from rollcast.stacks.base.events import CommandEnded
    from rollcast.stacks.rollout.status import desired_of, serving_now
    from rollcast.stacks.rollout.status import measured as measure

    serving = serving_now(project)
    found = measure(ended.tally, desired_of(serving))
    if format_ == "json":
        said = {"exit": int(ended.exit), "outcome": ended.outcome, "reason": ended.reason, "due_s": ended.due_s}
        emit_json(CommandEnded.model_validate({**said, "measured": found}))
    else:
        releases = {share.release for shares in serving.values() for share in shares}
        terminal.out(last_words(ended, releases, by_hand=by_hand))
        if found["requests"] or any(not_judged(found)):
            terminal.out(measured(found))
    if ended.exit and not terminal.coloured():  # a script that keeps only one of the streams learns why, too
        terminal.note(f"Exit {int(ended.exit)}: {terminal.clean(ended.reason)}")
    raise typer.Exit(int(ended.exit))


def register(app: typer.Typer) -> None:
    app.command()(apply)
