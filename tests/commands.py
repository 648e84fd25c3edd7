"""Commands as a test runs them: in a process of their own, or here, where no process has to load everything again."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from rollcast.cli.main import main

ROLLCAST = str(Path(sys.executable).parent / "rollcast")


def run_here(
    folder: Path, *words: str, environment: Mapping[str, str | None] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command in this process, as one does that has `-C`: what it said, and its exit code.

    It is the same command from its words to its exit code, with these variables of its environment set, or unset. One
    that runs beside another, or is about a process, takes one of its own; so does one that is to be broken or killed.
    """
    if "ROLLCAST_FAULTS" in (environment or {}):
        return run_apart(folder, *words, environment=environment)
    out, said = io.StringIO(), io.StringIO()
    changed = _changed({"NO_COLOR": "1", **(environment or {})})
    with changed, contextlib.redirect_stdout(out), contextlib.redirect_stderr(said):
        code = main(["-C", str(folder), *words])
    return subprocess.CompletedProcess(words, code, out.getvalue(), said.getvalue())


def run_apart(
    folder: Path, *words: str, environment: Mapping[str, str | None] | None = None, timeout_s: float = 240
) -> subprocess.CompletedProcess[str]:
    """The same command in a process of its own, in the project folder, as a user runs it."""
    own = {**os.environ, "NO_COLOR": "1", **(environment or {})}
    return subprocess.run(
        [ROLLCAST, *words], cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False,
        env={name: value for name, value in own.items() if value is not None},
    )  # fmt: skip


@contextlib.contextmanager
def _changed(environment: Mapping[str, str | None]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in environment}
    _set(environment)
    try:
        yield
    finally:
        _set(before)


def _set(environment: Mapping[str, str | None]) -> None:
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
