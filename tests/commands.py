"""Commands as a test runs them: in a process of their own, or here, where no process has to load everything again."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from rollcast.cli.main import main


def run_here(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in this process, as one does that has `-C`: what it said, and its exit code.

    It is the same command from its words to its exit code. A test in which it is killed, or which is about a process,
    takes one of its own; so does one that gives it another environment.
    """
    out, said = io.StringIO(), io.StringIO()
    with _uncoloured(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        code = main(["-C", str(folder), *words])
    return subprocess.CompletedProcess(words, code, out.getvalue(), said.getvalue())


@contextlib.contextmanager
def _uncoloured() -> Iterator[None]:
    before = os.environ.get("NO_COLOR")
    os.environ["NO_COLOR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["NO_COLOR"]
        else:
            os.environ["NO_COLOR"] = before
