"""A whole plan as text: what changes, who switches with whom, every milestone and operation in order, the rollback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from rollcast.cli.inputs.guardrails import lines_of
from rollcast.cli.output.contents import contents_of
from rollcast.cli.reports.amounts import duration
from rollcast.cli.reports.steps import is_in_place, reasons_of
from rollcast.cli.terminal import paint
from rollcast.planner.base.wording import in_words
from rollcast.planner.plan.models import Milestone, Operation, Plan
from rollcast.planner.releases.changes import SYMBOLS, Action, Change

_COLOURS = {"create": "green", "update": "yellow", "replace": "yellow", "flag": "yellow", "delete": "red"}
_SIGNS = {"provision": "+", "warm": "·", "evaluate": "?", "shift": ">", "flag": ">", "drain": "·", "retire": "-"}
_SIGN_COLOURS = {"+": "green", "±": "yellow", "-": "red", ">": "cyan", "?": "magenta"}
_VERBS: dict[Action, str] = {
    "create": "to add",
    "update": "to update",
    "replace": "to replace",
    "delete": "to remove",
    "flag": "to set by flag",
}


def brief_of(plan: Plan) -> str:
    """A plan that was shown before, in a few lines: what changes and how much there is to do."""
    if plan.empty:
        return "\n".join(details_of(plan))
    signed = f", signed by key {plan.signed_by[:12]}" if plan.signed_by else ""
    head = paint(f"{plan.pipeline} in {plan.environment}, as saved ({plan.digest[:19]}){signed}", bold=True)
    return "\n".join([head, *releases_of(plan), "", *_changes(plan), *lines_of(plan), summary_of(plan)])


def summary_of(plan: Plan) -> str:
    """One line: how much changes, in how many milestones and operations."""
    if plan.empty:
        return "No changes: what is live is what is declared."
    counts = Counter(change.action for change in plan.changes)
    shown = ", ".join(f"{counts[action]} {verb}" for action, verb in _VERBS.items() if counts[action])
    return f"Plan: {shown or 'no component'}; {len(plan.milestones)} milestones, {len(plan.operations)} operations."


def details_of(plan: Plan) -> Iterator[str]:
    """The whole plan, line by line."""
    yield paint(f"{plan.pipeline} in {plan.environment}", bold=True)
    if plan.empty:
        yield ""
        yield summary_of(plan)
        return
    yield from releases_of(plan)
    yield ""
    yield from _changes(plan)
    yield from contents_of(plan.contents)
    yield from _groups(plan)
    yield from _milestones(plan)
    yield from _rollback_of(plan)
    yield from remarks_of(plan, plan.notes)
    yield from lines_of(plan)
    yield summary_of(plan)


def remarks_of(plan: Plan, notes: Iterable[str]) -> Iterator[str]:
    """What suites found before, what is signed, and notes."""
    for found in plan.evaluations:
        yield paint(f"Evaluated: {found}", "yellow" if found.stale else None)
    for one in plan.signatures:
        if not one.problem:  # what is wrong is said by a guardrail
            yield f"Signed: {one}"
    for note in notes:
        yield paint(f"Note: {note}", "yellow")


def releases_of(plan: Plan) -> Iterator[str]:
    """From which release to which each track goes."""
    for track, target in plan.to_release.items():
        yield f"  {track}: {plan.from_release.get(track) or 'nothing'} -> {paint(target, bold=True)}"
    for track, shares in plan.start.items():
        if track not in plan.to_release and shares:
            yield f"  {track}: {shares[0].release} -> {paint('removed', bold=True)}"


def _changes(plan: Plan) -> Iterator[str]:
    yield paint("Changes", bold=True)
    yield from (row for _, row in changes_by_track(plan))
    yield ""


def changes_by_track(plan: Plan) -> Iterator[tuple[Change, str]]:
    """What changes, once: a change and its row, with the tracks that it changes on, where those are not all."""
    every = list(dict.fromkeys([*plan.to_release, *(change.line for change in plan.changes)]))
    found: dict[tuple[Action, str, str], list[Change]] = {}
    for change in plan.changes:
        found.setdefault((change.action, change.component, change.reason), []).append(change)
    width = max((len(component) for _, component, _ in found), default=0)
    for (action, component, reason), alike in found.items():
        tracks = [change.line for change in alike]
        where = f"  ({', '.join(tracks)})" if set(tracks) != set(every) else ""
        sign = paint(SYMBOLS[action], _COLOURS[action])
        yield alike[0], f"  {sign} {paint(component.ljust(width))}  {paint(reason)}{where}"


def shares_of(milestone: Milestone) -> str:
    """Who is served by what once a milestone is reached, for the tracks that it changes."""
    parts = []
    for track, shares in milestone.serving.items():
        what = ", ".join(f"{s.percent:g} % of {s.audience} by {s.release}" for s in shares) or "nothing"
        parts.append(f"{track}: {what}" if len(milestone.serving) > 1 else what)
    return "; ".join(parts)


def _groups(plan: Plan) -> Iterator[str]:
    found = reasons_of(plan)
    if not found:
        return
    yield paint("Order", bold=True)
    for number, (name, reasons) in enumerate(found, 1):
        yield f"  {number}. {paint(name.replace('+', ' + '))}"
        for reason in reasons:
            yield paint(f"       {reason}", dim=True)
    yield ""


def _milestones(plan: Plan) -> Iterator[str]:
    yield paint("Milestones", bold=True)
    head = ""
    gates: tuple[str, ...] = ()
    for milestone in plan.milestones:
        if milestone.point_of_no_return:
            yield paint("  ---- point of no return: going back from here is a new plan ----", "red")
        staged = milestone.kind == "shift" and milestone.audience is not None
        name = f"{', '.join(milestone.lines)}: {milestone.step}" if len(plan.lines) > 1 else milestone.step
        if staged and name != head:
            yield f"      {paint(name.replace('+', ' + '), bold=True)}{_gates(milestone)}"
            gates = milestone.gates
        head = name if staged else ""
        other = _gates(milestone) if staged and milestone.gates != gates else ""
        yield f"  {milestone.index:>2}  {_stage(milestone) if staged else paint(milestone.title, bold=True)}{other}"
        if milestone.confirm:
            yield paint(f"        waits for the confirmation of {in_words(c.who for c in milestone.confirm)}", "yellow")
        yield from (f"        {text}" for text in _operations(plan, milestone))
    yield ""


def _stage(milestone: Milestone) -> str:
    where = (
        "in place, everyone at once" if is_in_place(milestone) else f"{milestone.percent:g} % of {milestone.audience}"
    )
    if not (milestone.gates or milestone.bake_min_s):
        return paint(where)
    bake = f"bake {duration(milestone.bake_min_s)} to {duration(milestone.bake_max_s)}, then {milestone.bake_then}"
    return f"{paint(where.ljust(28))} {paint(bake, dim=True)}"


def _gates(milestone: Milestone) -> str:
    return paint(f"   gates: {', '.join(milestone.gates)}", dim=True) if milestone.gates else ""


def _operations(plan: Plan, milestone: Milestone) -> Iterator[str]:
    """What is done besides shifts; of two that read alike, which tracks each of them is for."""
    shown = [o for o in plan.operations_of(milestone.index) if o.kind not in ("shift", "flag")]
    texts = [_operation(plan, operation) for operation in shown]
    counts = Counter(texts)
    for operation, text in zip(shown, texts, strict=True):
        users = ", ".join(_users(plan, operation.instance)) if counts[text] > 1 and operation.instance else ""
        yield f"{text}{paint(f'  ({users})', dim=True) if users else ''}"


def _users(plan: Plan, instance: str) -> list[str]:
    """Tracks that serve what runs in an instance, before, while or after the plan is carried out."""
    served = ((share.line, share.release) for shares in plan.start.values() for share in shares)
    moved = ((s.line, s.release) for m in plan.milestones for shares in m.serving.values() for s in shares)
    pairs = dict.fromkeys((*served, *moved))
    return list(dict.fromkeys(track for track, release in pairs if instance in plan.releases[release].instances))


def _operation(plan: Plan, operation: Operation) -> str:
    sign = "±" if operation.in_place else _SIGNS[operation.kind]
    what = operation.component or ""
    if operation.evaluate is not None:
        wanted = ", ".join(f"{metric} >= {least:g}" for metric, least in operation.evaluate.thresholds.items())
        what = f"{operation.evaluate.suite} on {operation.release} ({wanted})"
    elif operation.kind == "drain":
        what = f"{operation.why} (wait at least {duration(operation.wait_s)})"
    elif operation.artifact:
        what = f"{operation.component} {operation.artifact}{_place(plan, operation)}"
    kind = "overwrite" if operation.in_place else operation.kind
    return f"{paint(sign, _SIGN_COLOURS.get(sign))} {kind} {paint(what)}"


def _place(plan: Plan, operation: Operation) -> str:
    """Where an instance runs, as far as that is declared."""
    slots = plan.releases[operation.release].slots if operation.release else {}
    version = slots.get(operation.component or "")
    return f" in {', '.join(version.regions)}" if version and version.regions else ""


def _rollback_of(plan: Plan) -> Iterator[str]:
    if not plan.rollback:
        return
    yield paint("Rollback", bold=True)
    waves: dict[int, list[int]] = {}
    for milestone in plan.milestones:
        if plan.rollback_of(milestone.index) is not None:
            waves.setdefault(milestone.wave, []).append(milestone.index)
    for reached in waves.values():
        way = plan.rollback_of(reached[-1])
        steps = ", then ".join(step.title for step in way.milestones) if way else ""
        span = f"milestone {reached[0]}" if len(reached) == 1 else f"milestones {reached[0]} to {reached[-1]}"
        yield f"  from {span}: {paint(steps)}"
    yield ""
