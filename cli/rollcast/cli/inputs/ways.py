"""The ways that `tune` tries, as projects and plans, and how a person would declare the one that is chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollcast.cli.inputs.guardrails import blocking, judged
from rollcast.cli.inputs.plans import unjudged_plan_of
from rollcast.cli.inputs.variants import AS_DECLARED, varied
from rollcast.planner.base.values import plain
from rollcast.simulator.tuning.ways import SHARES, Way, can_be_tuned, ladders
from rollcast.stacks.base.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollcast.planner.declaration.models import Bake, Stage
    from rollcast.planner.plan.models import Plan
    from rollcast.stacks.project import Project


@dataclass(frozen=True)
class PlannedWay:
    """A way, the project that declares it, and its plan. `name`: what it is called beside others."""

    name: str
    project: Project
    plan: Plan

    @property
    def blocked(self) -> tuple[str, ...]:
        """The guardrails that would not let it be applied, by name. Raises PolicyError."""
        return tuple(one.policy for one in blocking(judged(self.project, self.plan), "apply"))


def ways_of(
    project: Project, declared: PlannedWay, from_: str | None, within_s: float, least_s: Callable[[Plan], float]
) -> Iterator[PlannedWay]:
    """The declared way, then every other that can be over within so many seconds, each once.

    `least_s`: the least time of a plan, in seconds. Raises StackError where there is nothing to choose.
    """
    if not all(map(can_be_tuned, project.declaration.each_rollout().values())):
        raise StackError(
            "Some rollout here switches everyone at once, so there are no percentages to choose. "
            "Declare 'strategy: canary'."
        )
    seen = {declared.plan.digest}
    yield declared
    for percent in ladders():
        usual_s = max(least_s(_planned(project, Way(percent), from_).plan), 1.0)
        for share in SHARES:
            way = Way(percent, within_s * share / usual_s, within_s * (1.0 - share))
            made = _planned(project, way, from_)
            if made.plan.digest not in seen and least_s(made.plan) <= within_s:
                seen.add(made.plan.digest)
                yield made


def planned_as_declared(project: Project, from_: str | None) -> PlannedWay:
    """What is declared, as one of the ways."""
    return PlannedWay(AS_DECLARED, project, unjudged_plan_of(project, from_))


def _planned(project: Project, way: Way, from_: str | None) -> PlannedWay:
    steps = ", ".join(f"{each:g}" for each in way.percent)
    made = varied(project, way.of, f"percent=[{steps}]")
    bake = next(iter(made.declaration.each_rollout().values())).bake
    name = f"percent=[{steps}] bake={{min: {written(bake.min)}, max: {written(bake.max)}}}"
    return PlannedWay(name, made, unjudged_plan_of(made, from_))


def declared_as(way: PlannedWay) -> dict[str, Any]:
    """What of a declaration a way is: its rollouts' percentages or stages, and bakes, nested as they are declared."""
    found: dict[str, Any] = {}
    for place, settings in way.project.declaration.each_rollout().items():
        inner = found
        for key in place:
            inner = inner.setdefault(key, {})
        if settings.stages:
            inner["stages"] = [_stage(stage) for stage in settings.stages]
        else:
            inner["percent"] = [_number(each) for each in settings.percent]
        inner["bake"] = _bake(settings.bake)
    return found


def _stage(stage: Stage) -> dict[str, Any]:
    found = {"audience": stage.audience, "percent": [_number(each) for each in stage.percent]}
    return found | ({"bake": _bake(stage.bake)} if stage.bake else {})


def _bake(bake: Bake) -> dict[str, str]:
    return {"min": written(bake.min), "max": written(bake.max), "then": bake.then}


def _number(value: float) -> float:
    return int(value) if value == int(value) else value


def written(seconds: float) -> str:
    """Seconds as a declaration has them: 90m, 45s, 1h30m."""
    if seconds != int(seconds):
        return f"{plain(seconds)}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{amount}{unit}" for amount, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if amount]
    return "".join(parts) or "0s"


__all__ = ["PlannedWay", "declared_as", "planned_as_declared", "ways_of", "written"]
