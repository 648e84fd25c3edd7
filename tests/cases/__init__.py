"""Small projects, each of which once showed a fault: what finds them, and what runs one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CASES = Path(__file__).parent
KNOWN_FAULTS: frozenset[str] = frozenset()  # names of cases that are still wrong
WITH_ENGINE = frozenset({"plan/custom-station"})  # beside all of `apply/`
LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a case ended: 0 right, 1 it shows its fault, 2 it could not run; and its one line."""

    code: int
    line: str


def names() -> list[str]:
    """Every case as `kind/name`."""
    return sorted(str(found.parent.relative_to(CASES)) for found in CASES.glob("*/*/run.sh"))


def needs_engine(name: str) -> bool:
    """Whether a case applies something."""
    return name.startswith("apply/") or name in WITH_ENGINE


def run(name: str) -> Verdict:
    """Runs one case with the `rollcast` of this very Python; a case that hangs could not run."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    try:
        done = subprocess.run(
            ["bash", str(CASES / name / "run.sh")],
            env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Verdict(2, f"could not run: not done after {LIMIT_S:g} s")
    said = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    return Verdict(done.returncode, said[-1] if said else f"nothing was said, exit {done.returncode}")
