"""The same expression in other processes, whose hashes are seeded otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def written_elsewhere(module: str, expression: str) -> set[bytes]:
    """What two other processes write for an expression over the names of a module; one element when they agree."""
    code = f"from {module} import *; import sys; sys.stdout.write({expression})"
    return {
        subprocess.run(
            [sys.executable, "-c", code], cwd=Path(__file__).parents[2], env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
