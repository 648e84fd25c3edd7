"""A plan's steps as rows: who is moved by which stages, how long that takes, what must be proved, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rollcast.planner.base.wording import in_words
from rollcast.planner.plan.models import EVERYONE, Milestone, Plan

_TOGETHER = re.compile(r"^(?:switch together: )?\S+ \S+ requires (\S+) \S.*, which \S+ \S+ does not provide")
_USUAL = (
    "upstream before downstream",
    "one group under analysis at a time, so that a regression has one suspect",
)


@dataclass(frozen=True)
class PlanStep:
    """Stages of one group on the same tracks, one after the other. Bakes and drains: `least_s` to `most_s` seconds."""

    number: int
    group: str
    tracks: tuple[str, ...]
    stages: tuple[Milestone, ...]
    gates: tuple[str, ...]
    least_s: float
    most_s: float
    why: tuple[str, ...]

    @property
    def name(self) -> str:
        """The slots that switch."""
        return self.group.replace("+", " + ")

    @property
    def confirmed(self) -> tuple[str, ...]:
        """Before which stages it waits, and for whom."""
        return tuple(
            f"before {stage_name(stage)} it waits for the confirmation of {in_words(one.who for one in stage.confirm)}"
            for stage in self.stages
            if stage.confirm
        )

    @property
    def in_place(self) -> bool:
        """Whether some stage overwrites what serves, for everyone at once."""
        return any(map(is_in_place, self.stages))

    @property
    def paused(self) -> bool:
        """Whether requests are refused for a while."""
        return any(stage.kind == "pause" for stage in self.stages)

    @property
    def who(self) -> str:
        """Audiences in order, each with its percentages."""
        if self.paused:
            return "nobody is served, then everyone at once"
        if self.in_place:
            return "everyone at once, in place"
        parts = []
        for audience, stages in groupby(self.stages, key=lambda stage: stage.audience or EVERYONE):
            percents = list(dict.fromkeys(f"{stage.percent or 0:g}" for stage in stages))
            parts.append(f"{audience} {' → '.join(percents)} %")
        return ", ".join(parts)


def steps_of(plan: Plan) -> list[PlanStep]:
    """The steps in order. Stages that no group is named for (a routing change, an end) are steps of their own."""
    found: list[PlanStep] = []
    moving = [milestone for milestone in plan.milestones if milestone.kind in ("shift", "pause")]
    for (group, tracks), stages in groupby(moving, key=lambda one: (one.step or one.title, one.lines)):
        listed = tuple(stages)
        waits_s = sum(o.wait_s for stage in listed for o in plan.operations_of(stage.index))
        found.append(
            PlanStep(
                number=len(found) + 1,
                group=group,
                tracks=tracks,
                stages=listed,
                gates=tuple(dict.fromkeys(gate for stage in listed for gate in stage.gates)),
                least_s=waits_s + sum(stage.bake_min_s for stage in listed),
                most_s=waits_s + sum(max(stage.bake_min_s, stage.bake_max_s) for stage in listed),
                why=_why(plan, listed),
            )
        )
    return found


def whole_course_s(plan: Plan, steps: Sequence[PlanStep]) -> tuple[float, float]:
    """The least and the most seconds that all of a plan takes, without what new instances take to start."""
    waits_s = sum(
        o.wait_s for m in plan.milestones if m.kind not in ("shift", "pause") for o in plan.operations_of(m.index)
    )
    return waits_s + sum(s.least_s for s in steps), waits_s + sum(s.most_s for s in steps)


def _why(plan: Plan, stages: Sequence[Milestone]) -> tuple[str, ...]:
    for stage in stages:
        for operation in plan.operations_of(stage.index):
            if operation.why and operation.component == stage.step:
                return tuple(operation.why.split("; "))
    return ()


def stage_name(milestone: Milestone) -> str:
    """A stage in a sentence: who gets how much."""
    if milestone.audience is None or milestone.percent is None or is_in_place(milestone):
        return milestone.title
    return f"{milestone.percent:g} % of {milestone.audience}"


def is_in_place(milestone: Milestone) -> bool:
    """Whether a milestone overwrites what serves, for everyone at once."""
    return milestone.title.startswith("in place")


def reasons_of(plan: Plan) -> list[tuple[str, list[str]]]:
    """Every group in order, by name, with the reasons why it is one and why it comes when it does."""
    found: dict[str, list[str]] = {}
    several = len(plan.lines) > 1
    for step in steps_of(plan):
        if step.stages[0].step:
            name = f"{', '.join(step.tracks)}: {step.group}" if several else step.group
            reasons = found.setdefault(name, [])
            reasons.extend(() if reasons else step.why)
    return list(found.items())


def short_reasons(step: PlanStep) -> Iterator[str]:
    """Why it is a step and stands where it does, without the details of contracts, each thing once."""
    contracts: list[str] = []
    for reason in step.why:
        match = _TOGETHER.match(reason)
        if match:
            contracts.append(match[1])
        elif reason not in _USUAL and not reason.endswith(" can't run twice, so it is overwritten"):
            yield reason
    if contracts:
        named = ", ".join(dict.fromkeys(contracts))
        yield f"switch together: old and new do not fit each other in {named}"


__all__ = ["PlanStep", "is_in_place", "reasons_of", "short_reasons", "steps_of"]
