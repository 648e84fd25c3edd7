"""Ways that are tried: the percentages of a canary's steps, and how much of the time its stages take at least."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollcast.planner.declaration.models import Bake, RolloutSettings, Strategy

STEPS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0)  # as people write them
SHARES = (0.8, 0.3)  # of the time that there is; what is left is for a stage that waits for evidence
STRIDES = (1, 2, 3)
_UNITS = ((3600.0, 300.0), (600.0, 60.0), (60.0, 10.0), (0.0, 1.0))  # from so many seconds on, whole ones of so many


@dataclass(frozen=True)
class Way:
    """Percentages, by how much the least time of every stage is multiplied, and how much longer one may wait.

    `slack_s`: seconds beyond its least time that a stage may take until there is evidence enough.
    """

    percent: tuple[float, ...]
    longer: float = 1.0
    slack_s: float = 0.0

    def of(self, own: RolloutSettings) -> RolloutSettings:
        """A rollout's settings this way.

        Where stages are declared, the last one takes the percentages and the audiences before it stay as they are.
        """
        bakes = {"bake": self._bake(own.bake)}
        if not own.stages:
            return own.model_copy(update={**bakes, "percent": self.percent})
        stages = [
            stage.model_copy(update={"bake": self._bake(stage.bake) if stage.bake else None}) for stage in own.stages
        ]
        stages[-1] = stages[-1].model_copy(update={"percent": self.percent})
        return own.model_copy(update={**bakes, "stages": tuple(stages)})

    def _bake(self, own: Bake) -> Bake:
        least_s = rounded_s(own.min * self.longer)
        return own.model_copy(update={"min": least_s, "max": rounded_s(least_s + self.slack_s)})


def ladders() -> Iterator[tuple[float, ...]]:
    """Every way up `STEPS` by one, two or three steps at a time, from any of them to everyone."""
    found: dict[tuple[float, ...], None] = {}
    for first in range(len(STEPS) - 1):
        for stride in STRIDES:
            found[(*STEPS[first:-1:stride], STEPS[-1])] = None
    yield from found


def rounded_s(seconds: float) -> float:
    """Seconds as a person would declare them, never more: 4,000 are 65 minutes."""
    step = next(step for beginning, step in _UNITS if seconds >= beginning)
    return seconds // step * step or seconds


def can_be_tuned(own: RolloutSettings) -> bool:
    """Whether a rollout has percentages: what switches at once has none to choose."""
    return own.strategy in (Strategy.CANARY, Strategy.STAGED)
