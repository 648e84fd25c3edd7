"""Artifacts as content: what they are made from (their digest), and the folder that they become.

The digest of an artifact is of its recipe: definition, source files, the programs named in `build`, and the digests of
what it is derived from. It is known before anything is built, and changes whenever any of that does.

Where content comes from is a registry's to know: see `sources`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.sources import is_known, registry_of

BUILD_TIMEOUT_S = 1800
_TELL_S = 5.0  # how often a long build says that it is still at work
Progress = Callable[[str], None]
Stopped = Callable[[], bool]
Definitions = Mapping[str, Mapping[str, Any]]  # artifact reference -> its definition as JSON
BY_NAME = "by name, not by content"


def definitions_of(declaration: Declaration) -> dict[str, dict[str, Any]]:
    """Every artifact's definition by reference."""
    return {a.reference: a.model_dump(mode="json", by_alias=True) for a in declaration.artifacts}


def digests_of(definitions: Definitions, project: Path) -> dict[str, str]:
    """The digest of every artifact. Raises StackError naming a source that can't be read, or a link in it."""
    found: dict[str, str] = {}

    def visit(reference: str) -> str:
        if reference not in found:
            item = definitions[reference]
            recipe: dict[str, Any] = {
                k: item.get(k) for k in ("kind", "name", "version", "source", "build", "parameters")
            }
            recipe["derived_from"] = [visit(source) for source in item.get("derived_from") or ()]
            try:
                recipe["files"] = [_tree(path) for path in _inputs(item, project)]
            except (OSError, RuntimeError, ValueError) as error:  # no right to read it, links in a ring, no path at all
                raise StackError(f"{reference}: its source can't be read ({error}). Correct 'source'.") from None
            found[reference] = item.get("digest") or digest_of(recipe)
        return found[reference]

    for reference in definitions:
        visit(reference)
    return found


def _inputs(item: Mapping[str, Any], project: Path) -> list[Path]:
    paths = [path for word in (item.get("build") or ()) if (path := project / word).is_file()]
    content = _content(item, project) if is_known(item.get("source") or "") else None
    return paths if content is None else [*paths, content]


def _content(item: Mapping[str, Any], project: Path) -> Path | None:
    """What an artifact's source is now; None where it has none, or one that is pinned by name. Raises StackError."""
    source = item.get("source")
    if not source:
        return None
    try:
        registry, rest = registry_of(source)
        return registry.content(rest, project)
    except StackError as error:
        raise StackError(f"{item['name']}@{item['version']}: {error}") from None


def _tree(path: Path) -> list[list[str]]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    root = path.parent if path.is_file() else path
    return [[str(f.relative_to(root)), hashlib.sha256(f.read_bytes()).hexdigest()] for f in files]


def recipe_of(references: Iterable[str], definitions: Definitions, digests: Mapping[str, str]) -> dict[str, Any]:
    """Everything that some artifacts are made from, and no more: definitions and digests, lineage included."""
    needed: dict[str, Mapping[str, Any]] = {}
    pending = list(references)
    while pending:
        reference = pending.pop()
        if reference not in needed:
            needed[reference] = definitions[reference]
            pending.extend(definitions[reference].get("derived_from") or ())
    return {"definitions": dict(sorted(needed.items())), "digests": {name: digests[name] for name in sorted(needed)}}


def materialize(
    reference: str,
    definitions: Definitions,
    digests: Mapping[str, str],
    project: Path,
    *,
    progress: Progress = lambda text: None,
    stopped: Stopped = lambda: False,
    timeout_s: float = BUILD_TIMEOUT_S,
) -> Path:
    """The folder with an artifact's content and its manifest, made once and kept. Raises StackError."""
    digest = digests[reference]
    folder = project / ".rollcast" / "artifacts" / f"{reference}-{digest[7:19]}"
    with atomic_files.locked(folder.with_name(f".{folder.name}.lock"), wait_s=timeout_s):
        if (folder / "manifest.json").is_file():
            return folder
        item = definitions[reference]
        found = {
            source: materialize(
                source, definitions, digests, project, progress=progress, stopped=stopped, timeout_s=timeout_s
            )
            for source in item.get("derived_from") or ()
        }
        sources = [{"artifact": name, "folder": str(path.resolve())} for name, path in found.items()]
        staging = folder.with_name(f"{atomic_files.STAGING}{folder.name}")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(0o700)
        try:
            content = _content(item, project)
            if content is not None:
                _copy(content, staging)
            if item.get("build"):
                _Build(reference, item, sources, staging, project).run(progress, stopped, timeout_s)
            manifest = {k: item.get(k) for k in ("kind", "name", "version", "parameters")}
            manifest.update(digest=digest, content=digest_of(_tree(staging)))
            (staging / "manifest.json").write_text(json.dumps(manifest, sort_keys=True) + "\n", "utf-8")
            staging.chmod(0o755)
            atomic_files.place(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def _copy(path: Path, staging: Path) -> None:
    if path.is_file():
        shutil.copy2(path, staging)
    else:
        shutil.copytree(path, staging, dirs_exist_ok=True, symlinks=False)


class _Build:
    """One run of an artifact's `build`: a program and its arguments, never a shell."""

    def __init__(
        self, reference: str, item: Mapping[str, Any], sources: list[dict[str, str]], staging: Path, project: Path
    ) -> None:
        self.reference, self.item, self.staging, self.project = reference, item, staging, project
        self.task = {k: item.get(k) for k in ("kind", "name", "version", "parameters")} | {"derived_from": sources}

    def run(self, progress: Progress, stopped: Stopped, timeout_s: float) -> None:
        """Raises StackError when the program can't be run, fails, takes too long or is cancelled."""
        with (
            tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as described,
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        ):
            json.dump(self.task, described)
            described.flush()
            environment = {
                **os.environ,
                "ROLLCAST_ARTIFACT_OUT": str(self.staging.resolve()),
                "ROLLCAST_ARTIFACT": described.name,
            }
            argv = [sys.executable if word == "python" else word for word in self.item["build"]]
            try:
                process = subprocess.Popen(
                    argv, cwd=self.project, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=errors,
                )  # fmt: skip
            except OSError as error:
                raise StackError(f"{self.reference}: its build can't be run ({error}). Correct 'build'.") from None
            try:
                self._watch(process, progress, stopped, timeout_s)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            if process.returncode:
                errors.seek(0)
                tail = " ".join(errors.read().strip().splitlines()[-1:]) or "no message"
                code = process.returncode
                raise StackError(f"{self.reference}: its build ended with {code}: {tail}. Correct 'build'.")

    def _watch(self, process: subprocess.Popen[bytes], progress: Progress, stopped: Stopped, timeout_s: float) -> None:
        began = told = time.monotonic()
        progress(f"building {self.reference}")
        while process.poll() is None:
            now = time.monotonic()
            if stopped():
                raise StackError(f"{self.reference}: its build was cancelled. Run 'rollcast apply --resume'.")
            if now - began > timeout_s:
                raise StackError(f"{self.reference}: its build took more than {timeout_s:g} s. Make it faster.")
            if now - told >= _TELL_S:
                told = now
                progress(f"building {self.reference}: {now - began:.0f} s")
            time.sleep(0.02)
