"""Events: what a rollout does and notices, one typed stream with several readers.

The terminal, `--format json` and the live view read it; what must outlive the process is in the ledger besides. An
event is frozen, and its JSON is its fields with the kind under `event`. A record that another process wrote becomes an
event by `event_of`; one of a kind that is not known here keeps its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError


class Event(BaseModel):
    """Something that happened in a rollout. Fields of a newer version are kept."""

    model_config = ConfigDict(frozen=True, extra="allow")

    event: str

    def to_json(self) -> dict[str, Any]:
        """One object; numbers may be infinite, which JSON does not have."""
        return self.model_dump()


class Started(Event):
    """A rollout began."""

    event: Literal["started"] = "started"
    rollout: str
    milestones: int
    hotfix: str = ""


class _AtMilestone(Event):
    milestone: int
    title: str
    rollback: bool = False
    operations: Sequence[str] = ()


class Working(_AtMilestone):
    """A milestone is being worked towards."""

    event: Literal["working"] = "working"


class Reached(_AtMilestone):
    """A milestone is in force. `serving`: every share that moved."""

    event: Literal["reached"] = "reached"
    serving: Sequence[Mapping[str, Any]] = ()


class Evaluated(Event):
    """An evaluation suite was run; metrics by name."""

    event: Literal["evaluated"] = "evaluated"
    operation: str
    metrics: Mapping[str, float]


class Looked(Event):
    """The gates of a stage were looked at: the verdict, and all that it rests on."""

    event: Literal["look"] = "look"
    milestone: int
    verdict: str
    sentence: str = ""
    gates: Sequence[Mapping[str, Any]] = ()
    guards: Sequence[Mapping[str, Any]] = ()
    asked: Mapping[str, float] = Field(default_factory=dict)
    tally: Mapping[str, Any] = Field(default_factory=dict)
    cleared: bool = False


class RollbackBegun(Event):
    """The rollout goes back, and why."""

    event: Literal["rollback"] = "rollback"
    reason: str


class HeldBack(Event):
    """The rollout waits for a person, or for evidence."""

    event: Literal["held"] = "held"
    reason: str


class Drifted(Event):
    """Something was changed by hand: a sentence each."""

    event: Literal["drift"] = "drift"
    moved: Sequence[str]


class ModelChanged(Event):
    """Answers name another hosted model than is declared: its vendor changed it. Said once of each."""

    event: Literal["model_changed"] = "model_changed"
    text: str


class Restored(Event):
    """What was changed by hand is put back."""

    event: Literal["restored"] = "restored"
    moved: Sequence[str]


class Failed(Event):
    """A milestone could not be reached."""

    event: Literal["failed"] = "failed"
    error: str


class Ordered(Event):
    """A person's order was carried out."""

    event: Literal["order"] = "order"
    order: str
    reason: str = ""


class Progressed(Event):
    """What is going on, for who waits; nothing was decided."""

    event: Literal["progress"] = "progress"
    text: str


class RolloutFinished(Event):
    """The rollout is over."""

    event: Literal["finished"] = "finished"
    outcome: str
    reason: str
    tally: Mapping[str, Any] = Field(default_factory=dict)


class CommandEnded(Event):
    """The last event of a command: its exit code, and what telemetry measured.

    `due_s`: when the time is over that a release waits for, where nothing else is missing.
    """

    event: Literal["ended"] = "ended"
    exit: int
    outcome: str | None = None
    reason: str
    measured: Mapping[str, Any] = Field(default_factory=dict)
    due_s: float | None = None


AnyEvent = (
    Started | Working | Reached | Evaluated | Looked | RollbackBegun | HeldBack | Drifted | ModelChanged | Restored
    | Failed | Ordered | Progressed | RolloutFinished | CommandEnded
)  # fmt: skip
Emit = Callable[[Event], None]
_KNOWN: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="event")])


def event_of(kind: str, body: Mapping[str, Any]) -> Event:
    """A record of the ledger as an event; one of an unknown kind or form is kept as it is."""
    try:
        return _KNOWN.validate_python({**body, "event": kind})
    except ValidationError:
        return Event(**{**body, "event": kind})
