"""A source as a rollout uses it: opened when it is first read, and whatever goes wrong with it is a StackError.

A rollout outlives its source: a line that can't be read, a kind that is known no more, or a place that was corrected in
the declaration since. None of these may end the process that leads it on, least of all the one that rolls it back. A
cursor says which settings it is of; where they have changed, reading begins at the end of what is there now.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rollcast.planner.declaration.models import Telemetry
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetryBatch, TelemetrySource, source_of

T = TypeVar("T")
_OF, _AT = "telemetry", "at"


class Guarded:
    """The source of an environment. Never raises anything else than StackError."""

    def __init__(self, settings: Telemetry, root: Path) -> None:
        self._settings, self._root = settings, root
        self._of = digest_of(settings.model_dump(mode="json"))
        self._source: TelemetrySource | None = None

    @property
    def knows_requests(self) -> bool:
        return self._safely(lambda source: source.knows_requests)

    def open(self) -> None:
        """Opens it, without a look at what is there. Raises StackError where its settings are none."""
        if self._source is None:
            self._source = source_of(self._settings, self._root)

    def end(self) -> Cursor:
        return self._marked(self._safely(lambda source: source.end()))

    def read(self, cursor: Cursor, until: Cursor | None = None) -> TelemetryBatch:
        at = self._own(cursor)
        last = self._own(until) if until is not None else None
        if until is not None and (at is None or last is None):
            return TelemetryBatch(cursor=cursor)
        if at is None:
            return TelemetryBatch(cursor=self.end())
        batch = self._safely(lambda source: source.read(at, last))
        batch.cursor = self._marked(batch.cursor)
        return batch

    def find(self, request: str) -> RequestRecord | None:
        return self._safely(lambda source: source.find(request))

    def _marked(self, cursor: Cursor) -> Cursor:
        return {_OF: self._of, _AT: cursor}

    def _own(self, cursor: Cursor) -> Cursor | None:
        """What the source itself gave; None where it was another one. One without a mark is of an older version."""
        if set(cursor) != {_OF, _AT}:
            return cursor
        at: Cursor = cursor[_AT]
        return at if cursor[_OF] == self._of else None

    def _safely(self, ask: Callable[[TelemetrySource], T]) -> T:
        try:
            self.open()
            assert self._source is not None
            return ask(self._source)
        except StackError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"[:200]
            raise StackError(f"Telemetry of kind '{self._settings.kind}' can't be read ({what}). Correct it.") from None
