"""What this replica evaluates: the newest definition that was good, which outlives its source and restarts (spec D).

`current` is replaced as a whole and read without a lock, so a request sees one definition or the other, never a part
of each. Whatever can't be used leaves it as it is, and `degraded` says why.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Literal

from rollcast_dataplane.definitions import Definition
from rollcast_dataplane.errors import BadDefinition, SourceGone
from rollcast_dataplane.sources import Source


class Flags:
    """The definition of one pipeline, and how it is doing."""

    def __init__(self, pipeline: str, source: Source, last_known: Path | None) -> None:
        self._pipeline, self._source, self._file = pipeline, source, last_known
        self.current: Definition | None = None
        self.degraded: Literal[False] | str = False
        self._unkept: str | None = None
        self._stale: str | None = None

    def refresh(self, wait_s: float = 0.0) -> bool:
        """Reads the source once, and takes what is good. Whether another definition is evaluated now."""
        try:
            text = self._source.read(wait_s)
        except SourceGone as error:
            return self._fall_back(str(error))
        if text is None:
            return False
        if self.current is not None and text == self.current.text:
            self._say(None)
            return False
        try:
            found = Definition(text, self._pipeline)
        except BadDefinition as error:
            return self._fall_back(f"the definition can't be used: {error}")
        self.current = found
        self._keep(text)
        self._say(None)
        return True

    def pause_s(self) -> float:
        """Seconds to rest before the next look at the source."""
        return self._source.pause_s(self._stale is not None)

    def after_fork(self) -> None:
        """The child of a process that threads ran in: nothing that these may have held is used again."""
        self._source.forget()
        if self.current is not None:
            self.current = Definition(self.current.text, self._pipeline)

    def _fall_back(self, why: str) -> bool:
        """Goes on with what was last known, from before this process began where it knows nothing itself."""
        changed = False
        if self.current is None and self._file is not None:
            with contextlib.suppress(OSError, UnicodeDecodeError, BadDefinition):
                self.current = Definition(self._file.read_text("utf-8"), self._pipeline)
                changed = True
        self._say(why)
        return changed

    def _say(self, why: str | None) -> None:
        self._stale = why
        going_on = "it goes on with the last known" if self.current else "nothing is known yet, so requests get 503"
        reasons = [f"{why}; {going_on}"] if why else []
        self.degraded = "; ".join([*reasons, *([self._unkept] if self._unkept else [])]) or False

    def _keep(self, text: str) -> None:
        """Writes it whole or not at all, beside itself: a process that starts later reads one or the other."""
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=f".{self._file.name}-")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                os.replace(name, self._file)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(name)
                raise
        except OSError as error:
            self._unkept = f"the last known definition can't be kept at {self._file} ({error.strerror})"
        else:
            self._unkept = None
