"""Everything that a driver keeps between two of its steps, so that another one can go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rollcast.planner.rollout import Position
from rollcast.stacks.evidence import Tally


@dataclass
class Kept:
    """Where a rollout stands, what was read of telemetry, which step was set out for, which orders were heard.

    `intent` is the step whose intent is written and whose result is not. Times are on the rollout's clock (`elapsed_s`)
    or the wall clock (`left_s` when it was kept, `since_s` when the stage came into force).
    """

    position: Position | None = None
    tally: Tally = field(default_factory=Tally)
    cursor: dict[str, Any] | None = None
    stage_cursor: dict[str, Any] | None = None
    since_s: float | None = None
    elapsed_s: float = 0.0
    left_s: float | None = None
    intent: str | None = None
    heard: int = -1
    told_hold: str | None = None
    verdict: dict[str, Any] | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Kept:
        """From what `to_json` gave; a fresh one where nothing was kept."""
        if data is None:
            return cls()
        fields = {**data, "position": Position.model_validate(data["position"]), "tally": Tally(**data["tally"])}
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        position = self.position.model_dump(mode="json") if self.position else None
        return {**self.__dict__, "position": position, "tally": self.tally.to_json()}
