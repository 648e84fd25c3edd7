"""Everything that a driver keeps between two of its steps, so that another one can go on from there.

Fields that a newer rollcast added are left alone: they are no part of what is decided here, and are written back as
they were. What can't be read at all is refused with the version that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.state_machine import Position, Rollout
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.project import tool_version
from rollcast.stacks.rollout.evidence import RequestCounts
from rollcast.stacks.targets.definitions import stored


@dataclass
class Checkpoint:
    """Where a rollout stands, what was read of telemetry, which step was set out for, which orders were heard.

    `intent` is the step whose intent is written and whose result is not. Times are on the rollout's clock (`elapsed_s`)
    or the wall clock (`left_s` when it was kept, `since_s` when the stage came into force). `unknown` is what another
    version kept besides: of this, and of its position and its tally; `written_by` is that version.
    """

    position: Position | None = None
    tally: RequestCounts = field(default_factory=RequestCounts)
    cursor: dict[str, Any] | None = None
    stage_cursor: dict[str, Any] | None = None
    since_s: float | None = None
    elapsed_s: float = 0.0
    left_s: float | None = None
    intent: str | None = None
    heard: int = -1
    told_hold: str | None = None
    verdict: dict[str, Any] | None = None
    counters: dict[str, Any] = field(default_factory=dict)
    written_by: str = ""
    unknown: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Checkpoint:
        """From what `to_json` gave; a fresh one where nothing was kept. Raises StackError naming who wrote it."""
        if data is None:
            return cls()
        own, unknown = _split(data, {f.name for f in fields(cls)} - {"unknown"})
        what = f"Where the rollout stands{_versions(own.get('written_by'))}"
        try:
            position, of_position = _split(own["position"], set(Position.model_fields))
            tally, of_tally = _split(own["tally"], {f.name for f in fields(RequestCounts)})
            own["position"] = stored(Position, position, what)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StackError(f"{what} can't be read ({error}). Use the newer of the two.") from None
        own.update(tally=RequestCounts.of(tally), unknown={"": unknown, "position": of_position, "tally": of_tally})
        return cls(**own)

    def rollout(self, plan: Plan) -> Rollout:
        """The rollout where it stands, with its evidence. Raises StackError naming who wrote it."""
        try:
            return Rollout(plan, self.position)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            versions = _versions(self.written_by)
            raise StackError(
                f"The evidence of the stage{versions} can't be read ({error}). Use the newer of the two."
            ) from None

    def to_json(self) -> dict[str, Any]:
        position = self.position.model_dump(mode="json") if self.position else None
        unknown = {name: self.unknown.get(name, {}) for name in ("", "position", "tally")}
        body = {name: value for name, value in self.__dict__.items() if name != "unknown"}
        return {
            **unknown[""],
            **body,
            "position": {**unknown["position"], **position} if position else None,
            "tally": {**unknown["tally"], **self.tally.to_json()},
            "written_by": f"rollcast {tool_version()}",
        }


def _versions(by: object) -> str:
    return f", written by {by or 'another version of rollcast'} and read by rollcast {tool_version()},"


def _split(data: Mapping[str, Any], known: set[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields that are known here, and the others."""
    return {k: v for k, v in data.items() if k in known}, {k: v for k, v in data.items() if k not in known}
