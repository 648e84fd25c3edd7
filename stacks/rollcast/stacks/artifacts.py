"""Artifacts as content: what they are made from (their digest), and the folder that they become.

The digest of an artifact is of its recipe: definition, source files, the programs named in `build`, and the digests of
what it is derived from. It is known before anything is built, and changes whenever any of that does.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rollcast.planner.releases import digest_of
from rollcast.stacks.errors import StackError

BUILD_TIMEOUT_S = 1800
Definitions = Mapping[str, Mapping[str, Any]]  # artifact reference -> its definition as JSON


def digests_of(definitions: Definitions, project: Path) -> dict[str, str]:
    """The digest of every artifact. Raises StackError naming a source that can't be read."""
    found: dict[str, str] = {}

    def visit(reference: str) -> str:
        if reference not in found:
            item = definitions[reference]
            recipe: dict[str, Any] = {
                k: item.get(k) for k in ("kind", "name", "version", "source", "build", "parameters")
            }
            recipe["derived_from"] = [visit(source) for source in item.get("derived_from") or ()]
            recipe["files"] = [_tree(path) for path in _inputs(item, project)]
            found[reference] = item.get("digest") or digest_of(recipe)
        return found[reference]

    for reference in definitions:
        visit(reference)
    return found


def _inputs(item: Mapping[str, Any], project: Path) -> list[Path]:
    paths = [path for word in (item.get("build") or ()) if (path := project / word).is_file()]
    source = item.get("source") or ""
    return [*paths, _source(source, project, item)] if source.startswith("file:") else paths


def _source(source: str, project: Path, item: Mapping[str, Any]) -> Path:
    path = (project / source.removeprefix("file:")).resolve()
    label = f"{item['name']}@{item['version']}"
    if not path.is_relative_to(project.resolve()):
        raise StackError(f"{label}: source '{source}' is outside the project. Move it below {project}.")
    if not path.exists():
        raise StackError(f"{label}: source '{source}' isn't there. Correct the path, which is relative to the project.")
    return path


def _tree(path: Path) -> list[list[str]]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    root = path.parent if path.is_file() else path
    return [[str(f.relative_to(root)), hashlib.sha256(f.read_bytes()).hexdigest()] for f in files]


def materialize(reference: str, definitions: Definitions, digests: Mapping[str, str], project: Path) -> Path:
    """The folder with an artifact's content and its manifest, made once and kept. Raises StackError."""
    digest = digests[reference]
    folder = project / ".rollcast" / "artifacts" / f"{reference}-{digest[7:19]}"
    if (folder / "manifest.json").is_file():
        return folder
    item = definitions[reference]
    sources = [
        {"artifact": s, "folder": str(materialize(s, definitions, digests, project).resolve())}
        for s in item.get("derived_from") or ()
    ]
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=folder.parent))
    try:
        if str(item.get("source") or "").startswith("file:"):
            _copy(_source(item["source"], project, item), staging)
        if item.get("build"):
            _build(reference, item, sources, staging, project)
        manifest = {k: item.get(k) for k in ("kind", "name", "version", "parameters")}
        manifest.update(digest=digest, content=digest_of(_tree(staging)))
        (staging / "manifest.json").write_text(json.dumps(manifest, sort_keys=True) + "\n", "utf-8")
        staging.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return folder


def _copy(path: Path, staging: Path) -> None:
    if path.is_file():
        shutil.copy2(path, staging)
    else:
        shutil.copytree(path, staging, dirs_exist_ok=True, symlinks=False)


def _build(
    reference: str, item: Mapping[str, Any], sources: list[dict[str, str]], staging: Path, project: Path
) -> None:
    task = {k: item.get(k) for k in ("kind", "name", "version", "parameters")} | {"derived_from": sources}
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as described:
        json.dump(task, described)
        described.flush()
        environment = {
            **os.environ,
            "ROLLCAST_ARTIFACT_OUT": str(staging.resolve()),
            "ROLLCAST_ARTIFACT": described.name,
        }
        argv = [sys.executable if word == "python" else word for word in item["build"]]
        try:
            done = subprocess.run(
                argv,
                cwd=project,
                env=environment,
                capture_output=True,
                text=True,
                timeout=BUILD_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StackError(f"{reference}: its build can't be run ({error}). Correct 'build'.") from None
    if done.returncode:
        tail = " ".join(done.stderr.strip().splitlines()[-1:]) or "no message"
        raise StackError(f"{reference}: its build ended with {done.returncode}: {tail}. Correct 'build'.")
