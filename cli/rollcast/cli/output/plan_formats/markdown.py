"""A plan as Markdown, to read in a pull request: what changes, why in this order, the milestones, the rollback."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.cli.output.plan_details import shares_of, summary_of
from rollcast.cli.reports.amounts import duration
from rollcast.cli.reports.contents import in_markdown
from rollcast.cli.reports.escaping import code, markdown
from rollcast.cli.reports.steps import reasons_of
from rollcast.planner.base.wording import in_words
from rollcast.planner.plan.models import Milestone, Plan

MOST_ROWS = 200  # code hosts cut long comments; the JSON form has everything


def markdown_of(plan: Plan) -> str:
    """The whole plan as one Markdown document."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"## Release plan: {markdown(plan.pipeline)} in {markdown(plan.environment)}"
    yield ""
    yield summary_of(plan)
    if plan.empty:
        return
    yield from _changes(plan)
    yield from _order(plan)
    yield from _milestones(plan)
    yield from _rollback_of(plan)
    yield from _notes(plan)


def _changes(plan: Plan) -> Iterator[str]:
    yield from ("", "### Changes", "", "| line | component | action | from | to | why |", "|---|---|---|---|---|---|")
    for change in plan.changes[:MOST_ROWS]:
        before, after = (code(side) if side else "" for side in (change.from_, change.to))
        cells = (code(change.line), code(change.component), change.action, before, after, markdown(change.reason))
        yield f"| {' | '.join(cells)} |"
    yield from _cut(len(plan.changes))


def _order(plan: Plan) -> Iterator[str]:
    yield from ("", "### Order", "")
    for number, (name, reasons) in enumerate(reasons_of(plan)[:MOST_ROWS], 1):
        yield f"{number}. {code(name)}"
        yield from (f"   - {markdown(reason)}" for reason in reasons)


def _milestones(plan: Plan) -> Iterator[str]:
    yield from ("", "### Milestones", "", "| | milestone | then served | must be proved |", "|---:|---|---|---|")
    for milestone in plan.milestones[:MOST_ROWS]:
        title = markdown(milestone.title)
        if milestone.point_of_no_return:
            title = f"**point of no return** · {title}"
        yield f"| {milestone.index} | {title} | {markdown(shares_of(milestone))} | {markdown(_asks(milestone))} |"
    yield from _cut(len(plan.milestones))


def _asks(milestone: Milestone) -> str:
    parts = []
    if milestone.confirm:
        parts.append(f"begins once confirmed by {in_words(one.who for one in milestone.confirm)}")
    if milestone.gates:
        bake = f"within {duration(milestone.bake_min_s)} to {duration(milestone.bake_max_s)}"
        parts.append(f"{', '.join(milestone.gates)} {bake}, else {milestone.bake_then}")
    return "; ".join(parts)


def _rollback_of(plan: Plan) -> Iterator[str]:
    if plan.rollback:
        longest = max(plan.rollback, key=lambda way: len(way.milestones))
        yield from ("", "### Rollback", "")
        yield from (f"{n}. {markdown(m.title)}" for n, m in enumerate(longest.milestones, 1))


def _notes(plan: Plan) -> Iterator[str]:
    failed = [entry for entry in plan.guardrails if not entry.get("passed")]
    if plan.contents:
        yield from ("", "### Content", "")
        yield from (f"- {text}" for text in in_markdown(plan.contents))
    if plan.evaluations:
        yield from ("", "### Evaluations", "")
        yield from (f"- {markdown(str(found))}" for found in plan.evaluations)
    if plan.notes or failed:
        yield from ("", "### Notes", "")
        yield from (f"- {markdown(note)}" for note in plan.notes)
        yield from (
            f"- {code(one.get('policy'))} ({one.get('level')}): {markdown(one.get('message'))}" for one in failed
        )


def _cut(count: int) -> Iterator[str]:
    if count > MOST_ROWS:
        yield f"\n{count - MOST_ROWS} more in `rollcast plan --format json`."


__all__ = ["markdown_of"]
