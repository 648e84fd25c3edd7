"""A plan on one screen: what changes, in which steps, how long they take, and what to look at, the gravest first.

`plan_details` has every milestone and operation, for `--verbose`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.cli.inputs.guardrails import lines_of
from rollcast.cli.output.contents import in_one_line
from rollcast.cli.output.plan_details import changes_by_track, details_of, releases_of, remarks_of, summary_of
from rollcast.cli.reports.amounts import duration
from rollcast.cli.reports.risks import SAID_BY_RISKS, risks_of
from rollcast.cli.reports.steps import PlanStep, short_reasons, steps_of, whole_course_s
from rollcast.cli.terminal import paint
from rollcast.planner.plan.models import ContentChange, Plan

MOST_TRACKS, MOST_CHANGES, MOST_STEPS, MOST_RISKS, MOST_ADVICE = 12, 30, 20, 8, 2
_WIDTH, _BESIDE = 58, 90  # columns of a step's name; of who it moves with its gates in one line
_IN_PLACE = " changes in place: "  # a note that the step's own risk says


def text_of(plan: Plan, *, verbose: bool = False) -> str:
    """The plan, coloured like a diff where standard output is a terminal."""
    return "\n".join(details_of(plan) if verbose else _screen(plan))


def _screen(plan: Plan) -> Iterator[str]:
    yield paint(f"{plan.pipeline} in {plan.environment}", bold=True)
    if plan.empty:
        yield from ("", summary_of(plan))
        return
    yield from _capped(list(releases_of(plan)), MOST_TRACKS)
    yield from ("", paint("Changes", bold=True))
    yield from _changes(plan)
    yield ""
    steps = steps_of(plan)
    yield from _steps(plan, steps)
    yield from _look_at(plan, steps)
    yield from remarks_of(plan, (n for n in plan.notes if not n.startswith(SAID_BY_RISKS) and _IN_PLACE not in n))
    yield from lines_of(plan, MOST_ADVICE)
    yield _in_all(plan, steps)
    yield summary_of(plan)


def _changes(plan: Plan) -> Iterator[str]:
    """What changes, and below a text the first words that do."""
    inside = {(change.slot, change.before, change.after): change for change in plan.contents}
    rows = list(changes_by_track(plan))
    for change, row in rows[:MOST_CHANGES]:
        yield row
        content = inside.get((change.component, change.from_ or "", change.to or ""))
        if content is not None:
            words = "" if _is_version(content) else in_one_line(content)
            yield from (f"      {paint(f'breaks: {what}', 'red')}" for what in content.breaking)
            yield from [f"      {words}"] if words else []
    yield from _left_out(rows, MOST_CHANGES)


def _is_version(change: ContentChange) -> bool:
    """Whether nothing changes but the number that its reference has, too."""
    put = {"-": change.before.rpartition("@")[2], "+": change.after.rpartition("@")[2]}
    return all(sign == "=" or text.strip() == put[sign] for sign, text in change.words)


def _steps(plan: Plan, steps: Sequence[PlanStep]) -> Iterator[str]:
    yield paint("Steps", bold=True)
    new = sum(1 for operation in plan.operations if operation.kind == "provision" and not operation.in_place)
    suites = sum(1 for operation in plan.operations if operation.kind == "evaluate")
    if new:
        then = f", then {suites} evaluation {'suite' if suites == 1 else 'suites'}" if suites else ""
        yield f"  0  {new} new {'instance' if new == 1 else 'instances'} beside what serves now{then}"
    several = len(plan.lines) > 1
    shown: dict[tuple[str, tuple[str, ...]], int] = {}
    said: set[str] = set()
    for step in steps[:MOST_STEPS]:
        same = shown.setdefault((step.who, step.gates), step.number)
        tracks = f" · {', '.join(step.tracks)}" if several and step.tracks else ""
        head = f"  {step.number}  {step.name}{tracks}"
        takes = _takes(step) + ("" if same == step.number else f", as step {same}")
        yield f"{paint(head.ljust(_WIDTH), bold=True)}  {paint(takes, dim=True)}".rstrip()
        if same == step.number:
            gates = f"gates: {', '.join(step.gates)}" if step.gates else "no gate"
            beside = len(step.who) + len(gates) < _BESIDE
            yield f"     {step.who}" + (f"; {paint(gates, dim=True)}" if beside else "")
            if not beside:
                yield paint(f"     {gates}", dim=True)
        yield from (paint(f"     {text}", "yellow") for text in step.confirmed)
        for reason in short_reasons(step):
            if reason not in said:
                said.add(reason)
                yield paint(f"     {reason}", dim=True)
    yield from _left_out(steps, MOST_STEPS, " steps")
    yield ""


def _takes(step: PlanStep) -> str:
    if not step.most_s:
        return "at once"
    return between(step.least_s, step.most_s)


def between(least_s: float, most_s: float) -> str:
    """A time that is known, or its bounds."""
    return duration(least_s) if least_s == most_s else f"{duration(least_s)} to {duration(most_s)}"


def _look_at(plan: Plan, steps: Sequence[PlanStep]) -> Iterator[str]:
    risks = risks_of(plan, steps)
    if not risks:
        return
    yield paint("Look at", bold=True)
    yield from _capped([paint(f"  {risk}", "yellow") for risk in risks], MOST_RISKS)


def _capped(rows: Sequence[str], most: int) -> Iterator[str]:
    """The first rows, and how many more there are."""
    yield from rows[:most]
    yield from _left_out(rows, most)


def _left_out(found: Sequence[object], most: int, what: str = "") -> Iterator[str]:
    if len(found) > most:
        yield paint(f"  … and {len(found) - most} more{what}", dim=True)


def _in_all(plan: Plan, steps: Sequence[PlanStep]) -> str:
    """How long the whole takes, and until when one command undoes it."""
    takes = between(*whole_course_s(plan, steps))
    final = next((m.index for m in plan.milestones if m.point_of_no_return), None)
    back = "" if not plan.rollback else "; one command undoes it: rollcast rollback"
    if back and final is not None:
        back = f"; before milestone {final} one command undoes it: rollcast rollback"
    return f"In all {takes}, and what the new instances take to start{back}. Every milestone: rollcast plan --verbose."
