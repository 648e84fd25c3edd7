"""Where a relay reads flags from: a file, looked at ten times a second.

Only text that is a whole flag definition is ever given on. Half a file, an empty one or garbage is said once, and the
last good definition goes on being served until the file is right again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

LOOK_S = 0.1
MOST_BYTES = 8 * 1024 * 1024


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


def definition_of(text: str) -> dict[str, Any]:
    """A definition as data. Raises ValueError where it is not `{"flags": {key: {…}}}` in strict JSON."""
    if not text.strip():
        raise ValueError("it is empty")
    try:
        data = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(data, dict) or not isinstance(data.get("flags"), dict):
        raise ValueError('it needs {"flags": {…}}')
    wrong = next((key for key, flag in data["flags"].items() if not isinstance(flag, dict)), None)
    if wrong is not None:
        raise ValueError(f"flag '{wrong}' is no object")
    return data


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
