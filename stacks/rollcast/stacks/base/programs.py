"""Programs of a project's own, run to their end: in time, and not beyond a cancellation.

What each caller says of a program that was cancelled, late or wrong is its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import IO

_POLL_S = 0.02


class ProgramCancelled(Exception):
    """It was cancelled before its end."""


class ProgramLate(Exception):
    """It took longer than it may."""


def with_this_python(argv: Sequence[str]) -> list[str]:
    """The words of a program, `python` being the interpreter that runs rollcast."""
    return [sys.executable if word == "python" else word for word in argv]


def wait_for(
    process: subprocess.Popen[bytes],
    timeout_s: float,
    stopped: Callable[[], bool],
    running: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Returns at a program's end. `running` hears the seconds since then, many times a second.

    Raises ProgramCancelled, ProgramLate: the program still runs.
    """
    began_s = time.monotonic()
    while process.poll() is None:
        passed_s = time.monotonic() - began_s
        if stopped():
            raise ProgramCancelled
        if passed_s > timeout_s:
            raise ProgramLate
        running(passed_s)
        time.sleep(_POLL_S)


def last_lines(file: IO[str], most: int) -> str:
    """The end of what a program said, in one line; `no message` where it said nothing."""
    file.seek(0)
    return " ".join(file.read().strip().splitlines()[-most:]) or "no message"


__all__ = ["ProgramCancelled", "ProgramLate", "last_lines", "wait_for", "with_this_python"]
