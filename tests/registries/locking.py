"""Projects of a few artifacts, and the commands that lock and fetch them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rollcast.cli.main import main
from rollcast.stacks.artifacts.building import materialize
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.project import Project


def declare(project: Path, *sources: str, more: str = "") -> None:
    """A pipeline of as many artifacts as there are sources: a0@1, a1@1, …"""
    artifacts = "\n".join(
        f"  - {{kind: prompt-template, name: a{index}, version: '1', source: '{source}'{more}}}"
        for index, source in enumerate(sources)
    )
    components = "\n".join(f"  c{index}: {{artifact: a{index}@1}}" for index, _ in enumerate(sources))
    text = f"schema: rollcast/v1\npipeline: chat\nartifacts:\n{artifacts}\ncomponents:\n{components}\n"
    (project / "rollcast.yaml").write_text(text, "utf-8")


def run(project: Path, *arguments: str) -> int:
    return main(["-C", str(project), *arguments])


def locked(project: Path, name: str = "a0@1") -> dict[str, Any]:
    """What the lock says of an artifact's source."""
    data: dict[str, Any] = json.loads((project / "rollcast.lock").read_text("utf-8"))
    return data["sources"][name]["pin"]


def content(project: Path, name: str = "a0@1") -> dict[str, bytes]:
    """The files that an instance would be made of, by what the lock pins."""
    opened = Project.open(project)
    folder = materialize(name, definitions_of(opened.declaration), opened.digests, project)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
