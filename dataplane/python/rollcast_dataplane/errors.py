"""What keeps a request from being served, each with the HTTP status that its caller sees."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A request that is not served. The text says what is wrong, and then what to do."""

    status = 503

    def __init__(self, message: str, release: str | None = None) -> None:
        super().__init__(message)
        self.release = release

    def body(self) -> dict[str, Any]:
        """The JSON that the caller gets."""
        return {"error": str(self), "release": self.release}


class NoRelease(Refused):
    """No release serves: nothing is released yet, or the pipeline is paused."""


class UnknownRelease(Refused):
    """A trusted caller gave a release that this replica does not know, or two different ones."""


class RefusedKey(Refused):
    """A targeting key that can't be one: the caller's own mistake, and no evidence about a release."""

    status = 400


class BadDefinition(Exception):
    """A text that is no flag definition of this pipeline. It says why; it is never evaluated."""


class SourceGone(Exception):
    """Where definitions come from can't be read now. It says why."""
