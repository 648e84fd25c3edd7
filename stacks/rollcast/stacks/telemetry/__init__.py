"""Metric sources: where live outcomes come from. A kind is an entry point in `rollcast.telemetry`: a class with the
attribute `settings_model`, made from such settings and the project folder.

A source gives requests in the order in which they became known, from a cursor that is plain data: where it is kept,
reading goes on exactly where it stood, and nothing is counted twice or left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rollcast.planner.base.errors import KindError
from rollcast.planner.declaration.models import Telemetry
from rollcast.plugins.settings import opened
from rollcast.stacks.base.errors import StackError

Cursor = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What became known of one request: its outcome, or (`label`) a delayed judgement of an earlier one.

    time_s: when it ended, seconds since 1970 by the data plane's clock. values: outcome fields as numbers.
    components: slot -> name@version of what served it; None where telemetry does not say. replica: whose clock that is.
    texts: other fields that are text, which may be a user's own: never written down but by 'rollcast record'.
    served_by: slot -> what a hosted model's answer named itself; the slot is empty where telemetry names none.
    since_s: of a source that only counts, when the count was last read: it may have ended at any time since.
    exposure: it entered then, and its outcome is a record of its own.
    """

    id: str
    time_s: float
    key: str
    channel: str
    release: str | None
    components: Mapping[str, str] | None
    attributes: Mapping[str, Any]
    values: Mapping[str, float]
    label: bool = False
    replica: str | None = None
    served_by: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict, repr=False)
    since_s: float | None = None
    exposure: bool = False


@dataclass
class TelemetryBatch:
    """What one read gave. `unreadable` counts records that are no telemetry."""

    requests: list[RequestRecord] = field(default_factory=list)
    cursor: Cursor = field(default_factory=dict)
    unreadable: int = 0
    more: bool = False


class TelemetrySource(Protocol):
    """A place where outcomes become known. `knows_requests`: ids are those of requests, so a repeat is known."""

    @property
    def knows_requests(self) -> bool: ...

    def end(self) -> Cursor:
        """The cursor after all that is known now."""

    def read(self, cursor: Cursor, until: Cursor | None = None) -> TelemetryBatch:
        """What became known since, at most up to `until`. Raises StackError when the source can't be reached."""

    def find(self, request: str) -> RequestRecord | None:
        """One request by its id; None where it isn't known. Raises StackError where the source knows no requests."""


def source_of(settings: Telemetry, root: Path) -> TelemetrySource:
    """The source of an environment. Raises StackError."""
    try:
        kind, own = opened("telemetry", settings)
    except KindError as error:
        raise StackError(str(error)) from None
    made: TelemetrySource = kind(own, root)
    return made
