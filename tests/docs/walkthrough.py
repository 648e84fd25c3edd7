"""Runs a page of the documentation: files as they are shown, commands as they are typed, output as it is promised.

A block with `title="FILE"` is written to that file. In a `console` block a line with `$ ` is a command, lines with `> `
go on with it, and what follows is its output: `…` stands for anything within a line, a line of `…` for any lines.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_MARK = "\x1e"


@dataclass(frozen=True)
class Step:
    """A command and what it is to print; or, without a promise, a file that is written."""

    command: str
    promised: str | None


def steps_of(page: str) -> Iterator[Step]:
    """The steps of a page, in order."""
    for language, title, body in _BLOCK.findall(page):
        if title:
            yield Step(f"cat > {title} <<'END-OF-FILE'\n{body}END-OF-FILE", None)
        elif language == "console":
            yield from _console(body)


def _console(body: str) -> Iterator[Step]:
    command: list[str] = []
    promised: list[str] = []
    for line in body.splitlines():
        if line.startswith("$ "):
            if command:
                yield Step("\n".join(command), "\n".join(promised))
            command, promised = [line[2:]], []
        elif line.startswith("> ") and not promised:
            command.append(line[2:])
        else:
            promised.append(line)
    if command:
        yield Step("\n".join(command), "\n".join(promised))


def run(steps: list[Step], folder: Path) -> list[str]:
    """What each step printed, all in one shell; nothing that it started is left running."""
    script = "set -m\n" + "".join(f"{step.command}\nprintf '{_MARK}'\n" for step in steps)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shell = subprocess.Popen(
        ["bash", "--noprofile", "--norc", "-c", script],
        cwd=folder, env={**os.environ, "PATH": path, "NO_COLOR": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        printed, _ = shell.communicate(timeout=560)
    finally:
        for child in _session(shell.pid):
            os.kill(child, signal.SIGKILL)
    return printed.split(_MARK)[:-1]


def _session(leader: int) -> list[int]:
    """The processes of a session that are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text("utf-8").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


def matches(promised: str, printed: str) -> bool:
    """Whether what was printed is as promised."""
    pattern = ""
    for line in promised.splitlines():
        if line == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += re.escape(line).replace("…", r"[^\n]*") + r"\s*?\n"
    return re.fullmatch(pattern, printed if not printed or printed.endswith("\n") else printed + "\n") is not None
