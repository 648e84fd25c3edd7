"""A suite as a process: given the paths of the release and its content, stopped with all that it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from rollcast.stacks.base.errors import StackError

_POLL_S = 0.02
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
        words = [sys.executable if word == "python" else word for word in argv]
        try:
            process = subprocess.Popen(
                words, cwd=root, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=wrong,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise StackError(f"'{argv[0]}' can't be run ({error.strerror}). Install it, or correct 'run'.") from None
        try:
            _wait(process, timeout_s, stopped)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode not in expected:
            tail = " ".join(_read(wrong).strip().splitlines()[-_LAST_LINES:]) or "no message"
            raise StackError(f"'{' '.join(argv)}' ended with {process.returncode}: {tail}. Correct the suite.")
        return _read(said)


def _spool() -> IO[str]:
    return tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _wait(process: subprocess.Popen[bytes], timeout_s: float, stopped: Callable[[], bool]) -> None:
    began_s = time.monotonic()
    while process.poll() is None:
        if stopped():
            raise StackError("The evaluation was cancelled. Run the command again.")
        if time.monotonic() - began_s > timeout_s:
            raise StackError(f"The evaluation took more than {timeout_s:g} s. Make the suite smaller.")
        time.sleep(_POLL_S)


__all__ = ["run_suite"]
