"""Everything that a driver keeps between two of its steps, so that another one can go on from there.

Fields that a newer rollcast added are left alone: they are no part of what is decided here, and are written back as
they were. What can't be read at all, or has a newer major format, is refused with the version that wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, SerializeAsAny

from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.state_machine import Position, Rollout
from rollcast.stacks.base.errors import LedgerError
from rollcast.stacks.base.formats import StoredModel, read_stored
from rollcast.stacks.project import tool_version
from rollcast.stacks.rollout.evidence import RequestCounts


class StoredPosition(Position):
    """A position with what a newer version kept besides; the state machine carries it along."""

    model_config = ConfigDict(extra="allow", frozen=True)


def _position(value: Any) -> Any:
    return StoredPosition.model_validate(value) if isinstance(value, Mapping) else value


class Checkpoint(StoredModel):
    """Where a rollout stands, what was read of telemetry, which step was set out for, which orders were heard.

    `intent` is the step whose intent is written and whose result is not. Times are on the rollout's clock (`elapsed_s`)
    or the wall clock (`left_s` when it was kept, `since_s` when the stage came into force). `stands_still` says why the
    rollout was paused by a freeze or a brake and not by a person; `ordered_on`, that a person ordered it to the next
    milestone meanwhile. `unanswered`: of programs and webhooks that confirm, by question, why the last try decided
    nothing. `written_by` is the version of rollcast that kept it.
    """

    position: Annotated[SerializeAsAny[Position], BeforeValidator(_position)] | None = None
    tally: RequestCounts = Field(default_factory=RequestCounts)
    cursor: dict[str, Any] | None = None
    stage_cursor: dict[str, Any] | None = None
    since_s: float | None = None
    elapsed_s: float = 0.0
    left_s: float | None = None
    intent: str | None = None
    heard: int = -1
    told_hold: str | None = None
    stands_still: str = ""
    ordered_on: bool = False
    unanswered: dict[str, str] = Field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    counters: dict[str, Any] = Field(default_factory=dict)
    written_by: str = ""

    @classmethod
    def of(cls, data: Mapping[str, Any] | None) -> Checkpoint:
        """From what `to_json` gave; a fresh one where nothing was kept. Raises LedgerError naming who wrote it."""
        if data is None:
            return cls()
        found = read_stored(cls, data, f"Where the rollout stands (read by rollcast {tool_version()})")
        if found.position is None:
            raise LedgerError(
                f"Where the rollout stands, written by {found.written_by or 'another version of rollcast'}, can't be "
                "read (position: it is absent). Use the newer of the two."
            )
        return found

    def rollout(self, plan: Plan) -> Rollout:
        """The rollout where it stands, with its evidence. Raises LedgerError naming who wrote it."""
        try:
            return Rollout(plan, self.position)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise LedgerError(
                f"The evidence of the stage, written by {self.written_by or 'another version of rollcast'} and read by "
                f"rollcast {tool_version()}, can't be read ({error}). Use the newer of the two."
            ) from None

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "written_by": f"rollcast {tool_version()}"}
