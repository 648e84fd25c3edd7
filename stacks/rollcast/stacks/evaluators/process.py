"""A suite as a process: given the paths of the release and its content, stopped with all that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.programs import ProgramCancelled, ProgramLate, last_lines, wait_for, with_this_python

_LAST_LINES = 3


def run_suite(
    argv: Sequence[str],
    root: Path,
    release: Mapping[str, Any],
    suite: Path,
    endpoints: Sequence[str],
    timeout_s: float,
    stopped: Callable[[], bool],
    *,
    expected: Sequence[int] = (0,),
) -> str:
    """What a program wrote to standard output. It is run in `root`, with the suite in its environment:

    ROLLCAST_SUITE: the suite's folder. ROLLCAST_RELEASE: a file with the release as JSON, as the flag will hold it;
    `content` of a component is the folder of what serves it, where that is on this machine. ROLLCAST_ENDPOINTS: the
    data plane's addresses, one a line. Raises StackError: it can't be run, ends otherwise than expected, or too late.
    """
    with tempfile.TemporaryDirectory() as folder, _spool() as said, _spool() as wrong:
        described = Path(folder) / "release.json"
        described.write_text(json.dumps(release), "utf-8")
        environment = {
            **os.environ,
            "ROLLCAST_SUITE": str(suite.resolve()),
            "ROLLCAST_RELEASE": str(described),
            "ROLLCAST_ENDPOINTS": "\n".join(endpoints),
            "PYTHONDONTWRITEBYTECODE": "1",  # the suite is an artifact: its folder stays as it is locked
        }
        try:
            process = subprocess.Popen(
                with_this_python(argv), cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=wrong,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise StackError(f"'{argv[0]}' can't be run ({error.strerror}). Install it, or correct 'run'.") from None
        try:
            wait_for(process, timeout_s, stopped)
        except ProgramCancelled:
            raise StackError("The evaluation was cancelled. Run the command again.") from None
        except ProgramLate:
            raise StackError(f"The evaluation took more than {timeout_s:g} s. Make the suite smaller.") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode not in expected:
            tail = last_lines(wrong, _LAST_LINES)
            raise StackError(f"'{' '.join(argv)}' ended with {process.returncode}: {tail}. Correct the suite.")
        said.seek(0)
        return said.read()


def _spool() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


__all__ = ["run_suite"]
