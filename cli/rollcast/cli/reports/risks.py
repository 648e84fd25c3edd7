"""What a reader of a plan must look at, the gravest first: each a sentence with the step that it is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.cli.reports.amounts import duration
from rollcast.cli.reports.steps import PlanStep
from rollcast.planner.base.wording import in_words
from rollcast.planner.plan.models import Milestone, Plan

SAID_BY_RISKS = "After a rollback: "  # how a plan's note begins that is one of its risks


def risks_of(plan: Plan, steps: Sequence[PlanStep]) -> list[str]:
    """Requests refused, everyone at once, harm that no gate sees, what can't be taken back."""
    return [*_refused(steps), *_at_once(plan, steps), *_unseen(plan, steps), *_lost(plan), *_no_return(plan, steps)]


def _refused(steps: Sequence[PlanStep]) -> Iterator[str]:
    for step in steps:
        if step.paused:
            yield f"{_named(step)} refuses every request while it lasts: a maintenance pause."


def _at_once(plan: Plan, steps: Sequence[PlanStep]) -> Iterator[str]:
    for step in steps:
        if step.paused or _is_first(plan, step):
            continue
        if step.in_place:
            yield f"{_named(step)} overwrites what serves, for everyone at once; to go back is to overwrite it again."
        elif not step.gates:
            waits = max((stage.bake_min_s for stage in step.stages), default=0.0)
            how = f"after {duration(waits)} in each stage" if waits else "at once"
            yield f"{_named(step)} has no gate: it goes on {how}, whatever happens to its users."


def _unseen(plan: Plan, steps: Sequence[PlanStep]) -> Iterator[str]:
    """A metric that other steps of its pipeline are judged by, and this one is not."""
    blind: dict[tuple[str, ...], list[int]] = {}
    for step in steps:
        beside = [other for other in steps if _pipelines(plan, other) & _pipelines(plan, step)]
        metrics = dict.fromkeys(gate for other in beside for gate in other.gates)
        missing = tuple(metric for metric in metrics if metric not in step.gates)
        if missing and step.gates:
            blind.setdefault(missing, []).append(step.number)
    if blind:
        parts = (f"{', '.join(missing)} in step {in_words(map(str, numbers))}" for missing, numbers in blind.items())
        yield f"No gate, though other steps are judged by it: {'; '.join(parts)}."


def _lost(plan: Plan) -> Iterator[str]:
    yield from dict.fromkeys(note for note in plan.notes if note.startswith(SAID_BY_RISKS))


def _no_return(plan: Plan, steps: Sequence[PlanStep]) -> Iterator[str]:
    after: dict[int, Milestone] = {}
    for milestone in plan.milestones:
        if milestone.point_of_no_return:
            done = [step.number for step in steps if step.stages[-1].index < milestone.index]
            after.setdefault(done[-1] if done else 0, milestone)
    if len(after) == 1:
        ((number, milestone),) = after.items()
        begins = f"After step {number}" if number else f"From milestone {milestone.index} on"
        yield f"{begins} going back is a new plan: {milestone.title}."
    elif after:
        listed = in_words(str(number) for number in after if number)
        yield f"After each of the steps {listed} going back is a new plan: what it replaced is retired there."


def _pipelines(plan: Plan, step: PlanStep) -> set[str]:
    return {plan.pipeline_of.get(track, "") for track in step.tracks}


def _is_first(plan: Plan, step: PlanStep) -> bool:
    """Whether nothing was served before, so that there is nobody to be moved and nothing to compare."""
    return all(not plan.start.get(track) for track in step.tracks)


def _named(step: PlanStep) -> str:
    return f"Step {step.number} ({step.name})"


__all__ = ["SAID_BY_RISKS", "risks_of"]
