"""How much a registry may send before it is refused. Each limit is an environment variable, for those who need more."""

from __future__ import annotations

import os
from dataclasses import dataclass

from rollcast.stacks.base.errors import StackError

MIB = 1024 * 1024
ANSWER_BYTES = 32 * MIB  # of a manifest, a listing, or any other answer that is read whole


@dataclass(frozen=True)
class Limits:
    """Of one artifact. bytes and files: of its content. expansion: unpacked bytes to each packed one.

    timeout_s: of one answer, and of a download that does not move.
    """

    bytes: int = 256 * 1024 * MIB
    files: int = 200_000
    expansion: int = 200
    timeout_s: float = 30.0

    @classmethod
    def from_environment(cls) -> Limits:
        """ROLLCAST_MAX_BYTES, _MAX_FILES, _MAX_EXPANSION, _REGISTRY_TIMEOUT_S. Raises StackError: one is no number."""
        usual = cls()
        return cls(
            int(_number("ROLLCAST_MAX_BYTES", usual.bytes)),
            int(_number("ROLLCAST_MAX_FILES", usual.files)),
            int(_number("ROLLCAST_MAX_EXPANSION", usual.expansion)),
            _number("ROLLCAST_REGISTRY_TIMEOUT_S", usual.timeout_s),
        )


def _number(name: str, usual: float) -> float:
    said = os.environ.get(name, "").strip()
    try:
        found = float(said) if said else usual
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise StackError(f"{name} is '{said}', and no number above zero. Correct it, or unset it.")
    return found


def readable(count: float) -> str:
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


__all__ = ["ANSWER_BYTES", "Limits", "readable"]
