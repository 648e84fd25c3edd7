"""Repositories and controllers of tests: real git, real processes."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.commands import ROLLCAST
from tests.registries.test_git import commit, git

TOKEN = "a-token-of-a-test"
_ENOUGH_S = 90.0

__all__ = ["TOKEN", "RunningController", "bare_of", "commit", "controller", "git", "push"]


def bare_of(work: Path) -> Path:
    """A bare repository with what is committed in a working copy, which pushes to it from then on."""
    bare = work.with_name(f"{work.name}.git")
    git(work, "clone", "--quiet", "--bare", str(work), str(bare))
    git(work, "remote", "add", "origin", str(bare))
    return bare


def push(work: Path, files: dict[str, str], *how: str) -> str:
    """Commits and pushes; the commit."""
    made = commit(work, files)
    git(work, "push", "--quiet", *how, "origin", "HEAD:main")
    return made


class RunningController:
    """A controller process, and every event that it said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()

    def until(self, wanted: Callable[[dict[str, Any]], bool], after: int = 0) -> dict[str, Any]:
        """The first event of this kind since the one with this number."""
        end_s = time.monotonic() + _ENOUGH_S
        with self._changed:
            while True:
                found = next((event for event in self.events[after:] if wanted(event)), None)
                if found is not None:
                    return found
                left_s = end_s - time.monotonic()
                assert left_s > 0, f"it was not said: {json.dumps(self.events[after:], indent=1)[-6000:]}"
                self._changed.wait(left_s)

    def looked(self, project: str, environment: str, state: str, after: int = 0) -> dict[str, Any]:
        """The first look at an environment that ended in a state."""
        wanted = {"event": "looked", "project": project, "environment": environment, "state": state}
        return self.until(lambda event: wanted.items() <= event.items(), after)

    @property
    def address(self) -> str:
        return str(self.until(lambda event: event["event"] == "listening")["address"])


@contextmanager
def controller(*words: str, **environment: str) -> Iterator[RunningController]:
    """A controller that runs while the block does; it is killed at its end."""
    process = subprocess.Popen(
        [ROLLCAST, "controller", *words, "--listen", "127.0.0.1:0", "--format", "json", "--no-forecast"],
        text=True, stdout=subprocess.PIPE, stderr=None,
        env={**os.environ, "NO_COLOR": "1", "ROLLCAST_CONTROLLER_TOKEN": TOKEN, **environment},
    )  # fmt: skip
    try:
        yield RunningController(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
