"""What every builder of an artifact shares: where it reads its task, and where it writes.

A builder is run as `python tools/build_….py` in the project folder, with two environment variables:
ROLLCAST_ARTIFACT_OUT is an empty folder to fill, ROLLCAST_ARTIFACT a JSON file with kind, name, version, parameters
and `derived_from`: a list of {"artifact": "name@version", "folder": "where its content is"}.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Task:
    """What to build, from what, and where to put it."""

    out: Path
    artifact: str
    parameters: dict[str, Any]
    sources: tuple[Path, ...]

    def source_with(self, file: str) -> Path:
        """The one source folder that holds `file`. Ends the program with an explanation when there is none."""
        found = [folder for folder in self.sources if (folder / file).is_file()]
        if len(found) != 1:
            sys.exit(
                f"{self.artifact} must be derived from exactly one artifact with a file {file}, and {len(found)} of "
                f"its {len(self.sources)} sources have one. Correct 'derived_from' in the declaration."
            )
        return found[0]


def task() -> Task:
    """The task in the environment. Ends the program with an explanation when there is none."""
    try:
        out, described = os.environ["ROLLCAST_ARTIFACT_OUT"], os.environ["ROLLCAST_ARTIFACT"]
    except KeyError as missing:
        sys.exit(f"The environment variable {missing.args[0]} isn't set. rollcast sets it; see demos/building.py.")
    content = json.loads(Path(described).read_text("utf-8"))
    folders = (source.get("folder") for source in content.get("derived_from", []))
    return Task(
        out=Path(out),
        artifact=f"{content['name']}@{content['version']}",
        parameters=content.get("parameters") or {},
        sources=tuple(Path(folder) for folder in folders if folder),
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON object of each line."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """One JSON object on each line."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
