"""Runs the tests of a completion, apart from everything else: one confined process for each language.

Guarantees, as far as the system allows: no network, no files to write, limits of time and memory, an answer within
WAIT_S. `confined` says what was had of that. Limits: it is for what a small model of our own writes, which can say
nothing but its training data's tokens. For code of strangers take a virtual machine.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

SANDBOXED = Path(__file__).resolve().parent / "sandboxed"
WAIT_S, STARTS_WITHIN_S = 5.0, 30.0
KEPT = 20_000  # verdicts: the same code and the same tests have the same one


@dataclass(frozen=True)
class Verdict:
    """Whether the tests passed, and if not, why."""

    passed: bool
    why: str


@dataclass(frozen=True)
class Tests:
    """What a function has to give: its name, and arguments with their result."""

    name: str
    cases: Sequence[tuple[list[Any], Any]]


class Sandbox:
    """The processes, started when they are first needed. Safe to use from several threads."""

    def __init__(self) -> None:
        self._workers = {"python": _Worker(_python()), "javascript": _Worker(_node())}
        self._verdict = lru_cache(maxsize=KEPT)(self._run)

    def test(self, language: str, code: str, tests: Tests) -> Verdict:
        """Runs the code and then its tests. Raises ValueError for a language that can't be run."""
        if language not in self._workers:
            raise ValueError(f"there is no sandbox for {language!r}, only for {', '.join(self._workers)}")
        given = {"code": code, "name": tests.name, "cases": list(tests.cases)}
        return self._verdict(language, json.dumps(given, sort_keys=True))

    def confined(self) -> dict[str, str]:
        """What the system let each language's process give up; starts those that have not begun."""
        return {language: worker.confined() for language, worker in self._workers.items()}

    def stop(self) -> None:
        for worker in self._workers.values():
            worker.stop()

    def _run(self, language: str, given: str) -> Verdict:
        answer = self._workers[language].ask(given)
        return Verdict(bool(answer["passed"]), str(answer["why"]))


class _Worker:
    """One process that answers line by line. One that is late is ended, and another one begun."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._lock, self._confined = threading.Lock(), ""

    def ask(self, line: str) -> dict[str, Any]:
        with self._lock:
            try:
                process = self._started()
                assert process.stdin is not None
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
                found: dict[str, Any] = json.loads(self._line(process, WAIT_S))
            except (OSError, ValueError) as error:
                self._end()
                return {"passed": False, "why": f"the sandbox gave no answer ({error})"}
            return found

    def confined(self) -> str:
        with self._lock:
            self._started()
            return self._confined

    def stop(self) -> None:
        with self._lock:
            self._end()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
            self._confined = json.loads(self._line(self._process, STARTS_WITHIN_S))["confined"]
        return self._process

    def _line(self, process: subprocess.Popen[bytes], wait_s: float) -> bytes:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], wait_s)[0]:
            raise TimeoutError(f"none within {wait_s:g} s")
        line = process.stdout.readline()
        if not line:
            raise OSError("it ended")
        return line

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):
                    stream.close() if stream else None


def _python() -> list[str]:
    alone = [sys.executable, "-I", "-S", "-B"]
    return [*alone, str(SANDBOXED / "confine.py"), *alone, str(SANDBOXED / "python_tests.py")]


def _node() -> list[str]:
    node = shutil.which("node")
    if node is None:
        sys.exit("Node is not installed, and tests in JavaScript are run by it. Install it: apt-get install nodejs.")
    script = str(SANDBOXED / "javascript_tests.js")
    permitted = ["--experimental-permission", f"--allow-fs-read={script}", "--no-warnings"]
    confine = [sys.executable, "-I", "-S", "-B", str(SANDBOXED / "confine.py")]
    return [*confine, node, *permitted, "--max-old-space-size=64", script]
