"""Ana and Bo: they approve what has served in staging, and confirm what has proved itself on half of production."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from team.news import Item

ROLLCAST = str(Path(sys.executable).parent / "rollcast")
APPROVERS = ("ana", "bo")
BUSY = 7  # the exit code where another process is at work: whoever comes a moment later is let in


def rollcast(project: Path, *words: str, who: str = "eve", tries: int = 20) -> tuple[int, str]:
    """A command in a project's folder, as a person: its exit code, and what it said."""
    environment = {**os.environ, "LOGNAME": who, "NO_COLOR": "1"}
    for _ in range(tries):
        done = subprocess.run(
            [ROLLCAST, "-C", str(project), *words], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode != BUSY:
            break
        time.sleep(0.5)
    return done.returncode, done.stdout + done.stderr


def history(project: Path, environment: str) -> list[dict[str, Any]]:
    """Every rollout of an environment, the newest first."""
    code, said = rollcast(project, "--env", environment, "history", "--format", "json")
    found: list[dict[str, Any]] = json.loads(said)["rollouts"] if code == 0 else []
    return found


class Approvers:
    """They hear the news. `project`: the folder in which the controller keeps what it follows."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self._there: set[str] = set()
        self._one = threading.Lock()

    def hear(self, item: Item) -> None:
        if item.environment == "production" and item.what == "deployed":
            self._there.add(item.release)
        if item.environment == "staging" and item.what == "deployed" and item.release not in self._there:
            self.approve(item.release, "it serves in staging")
        if item.environment == "production" and item.what == "held" and "awaits the confirmation" in item.reason:
            self.confirm(item.reason.split()[1].rstrip(","), "looked at the gates")

    def approve(self, release: str, reason: str) -> None:
        """Both approve the plan that brings a release to production; of no other release."""
        with self._one:
            plan = self.project.parent.parent / "production.plan"
            plan.unlink(missing_ok=True)
            rollcast(self.project, "--env", "production", "plan", "--out", str(plan))
            brings = json.loads(plan.read_text("utf-8"))["to_release"].values() if plan.exists() else ()
            if release not in brings:
                print(f"            nobody approves: the plan does not bring {release}", flush=True)
                return
            for name in APPROVERS:
                print(f"            {name} approves: {self._answer(name, reason, str(plan))}", flush=True)

    def confirm(self, milestone: str, reason: str) -> None:
        """One of them confirms that everybody gets it."""
        with self._one:
            said = self._answer(APPROVERS[0], reason, "--milestone", milestone)
            print(f"            {APPROVERS[0]} confirms: {said}", flush=True)

    def _answer(self, name: str, reason: str, *about: str) -> str:
        """`about`: which plan, or which milestone."""
        words = ("--env", "production", "approve", *about, "--auto-approve", "--reason", reason)
        _, said = rollcast(self.project, *words, who=name)
        return (said.strip().splitlines() or ["nothing was said"])[-1][:120]
