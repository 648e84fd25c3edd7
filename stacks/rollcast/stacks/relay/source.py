"""Where a relay reads flags from: a file, or a place where a target publishes them (a database, an object in S3).

Only text that is a whole flag definition is ever given on. Half a file, an empty one or garbage is said once, and the
last good definition goes on being served until the source is right again.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.flags.flag_documents import MOST_BYTES, definition_of
from rollcast.stacks.flags.publishing import PublishedPlace, place_of

LOOK_S = 0.1
POLL_S = 0.5
_FIRST_S = 5.0


class SourceFault(Exception):
    """What a source holds can't be used, or it is not there. The text says why."""


class FlagSource(Protocol):
    """Gives the text of a flag definition."""

    def read(self) -> str | None:
        """The text, or None where it is what it was at the last read. Raises SourceFault."""


class DefinitionFile:
    """A definition file, as the target of kind `flagd` writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self) -> str | None:
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen == self._seen:
                return None
            self._seen = None  # what can't be used is looked at again and again
            if status.st_size > MOST_BYTES:
                raise SourceFault(f"{self.path} has {status.st_size:,} bytes, over {MOST_BYTES:,}")
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            self._seen = None
            raise SourceFault(f"{self.path} is not there") from None
        except (OSError, UnicodeDecodeError) as error:
            raise SourceFault(f"{self.path} can't be read ({getattr(error, 'strerror', None) or 'no UTF-8'})") from None
        try:
            definition_of(text)
        except ValueError as error:
            raise SourceFault(f"{self.path} is no flag definition ({error})") from None
        self._seen = seen
        return text


class PublishedSource:
    """A place that takes its time to answer: read in a thread of its own, so that nobody waits for it."""

    def __init__(self, place: PublishedPlace, every_s: float = POLL_S) -> None:
        self._place, self._every_s = place, every_s
        self._lock = threading.Lock()
        self._fresh: str | None = None
        self._fault: str | None = f"{place.shown} has not answered yet"
        self._tag = ""
        self._answered = threading.Event()
        self._thread: threading.Thread | None = None

    def read(self) -> str | None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._poll, name="rollcast-flags", daemon=True)
            self._thread.start()
            self._answered.wait(_FIRST_S)
        with self._lock:
            fresh, self._fresh = self._fresh, None
            if self._fault is not None:
                raise SourceFault(self._fault)
            return fresh

    def _poll(self) -> None:
        pause = threading.Event()
        while True:
            self._ask()
            self._answered.set()
            pause.wait(self._every_s)

    def _ask(self) -> None:
        """What cannot be used is read again, and does not count as seen."""
        try:
            found = self._place.get(self._tag)
            if found is not None:
                definition_of(found[1])
        except StackError as error:
            self._wrong(str(error).partition(". ")[0])
        except ValueError as error:
            self._wrong(f"{self._place.shown} holds no flag definition ({error})")
        except Exception as error:  # of a driver: a thread that ended would leave the relay with old flags for ever
            self._wrong(f"{self._place.shown} can't be read ({type(error).__name__})")
        else:
            with self._lock:
                self._fault = None
                if found is not None:
                    self._tag, self._fresh = found

    def _wrong(self, why: str) -> None:
        with self._lock:
            self._fault, self._tag, self._fresh = why, "", None


def source_at(place: str, folder: Path) -> FlagSource:
    """The source that a path or a URL names; paths are below `folder`. Raises StackError where a URL names none."""
    if place.startswith("ledger#") or "://" in place:
        return PublishedSource(place_of(place, folder))
    return DefinitionFile(folder / place)
