"""Artifacts as folders: content from where it is, and what an artifact's own program makes of it.

A folder is made once for each digest, and kept below `.rollcast/artifacts`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rollcast.planner.declaration.models import SourcePin
from rollcast.stacks.artifacts import cache
from rollcast.stacks.artifacts.recipes import Definitions, content_of
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.programs import ProgramCancelled, ProgramLate, last_lines, wait_for, with_this_python
from rollcast.stacks.registries.limits import readable
from rollcast.stacks.registries.trees import tree_digest, tree_of

BUILD_TIMEOUT_S = 1800
MANIFEST = "manifest.json"
_EVERY_S = 5.0  # how often a long build or fetch says that it is still at work
Progress = Callable[[str], None]
Stopped = Callable[[], bool]


def folder_of(project: Path, reference: str, digest: str) -> Path:
    """Where the content of an artifact is once it is made; it is whole when MANIFEST is there."""
    return project / ".rollcast" / "artifacts" / f"{reference}-{digest[7:19]}"


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
    folder = folder_of(project, reference, digest)
    with atomic_files.locked(folder.with_name(f".{folder.name}.lock"), wait_s=timeout_s):
        if (folder / MANIFEST).is_file():
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
            _put_content(reference, item, staging, project, progress, stopped)
            if item.get("build"):
                _Build(reference, item, sources, staging, project).run(progress, stopped, timeout_s)
            manifest = {k: item.get(k) for k in ("kind", "name", "version", "parameters")}
            manifest.update(digest=digest, content=tree_digest(tree_of(staging)))
            (staging / MANIFEST).write_text(json.dumps(manifest, sort_keys=True) + "\n", "utf-8")
            staging.chmod(0o755)
            atomic_files.place(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder


def _put_content(
    reference: str, item: Mapping[str, Any], staging: Path, project: Path, progress: Progress, stopped: Stopped
) -> None:
    """The content of an artifact's source, into its folder."""
    content = content_of(item, project)
    if isinstance(content, SourcePin):
        with cache.content_of(content, reference, progress=_Fetching(reference, progress), stopped=stopped) as files:
            _copy(files, staging)
    elif content is not None:
        _copy(content, staging)


class _Fetching:
    """Says every few seconds how far a fetch is."""

    def __init__(self, reference: str, progress: Progress) -> None:
        self._reference, self._progress, self._said_s = reference, progress, time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s >= _EVERY_S:
            self._said_s = now_s
            of = f" of {readable(total)}, {100 * done / total:.0f} %" if total else ""
            self._progress(f"fetching {self._reference}: {readable(done)}{of}")


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
            try:
                process = subprocess.Popen(
                    with_this_python(self.item["build"]), cwd=self.project, env=environment,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
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
                tail = last_lines(errors, 1)
                code = process.returncode
                raise StackError(f"{self.reference}: its build ended with {code}: {tail}. Correct 'build'.")

    def _watch(self, process: subprocess.Popen[bytes], progress: Progress, stopped: Stopped, timeout_s: float) -> None:
        noted_s = 0.0

        def running(seconds: float) -> None:
            nonlocal noted_s
            if seconds - noted_s >= _EVERY_S:
                noted_s = seconds
                progress(f"building {self.reference}: {seconds:.0f} s")

        progress(f"building {self.reference}")
        try:
            wait_for(process, timeout_s, stopped, running)
        except ProgramCancelled:
            raise StackError(f"{self.reference}: its build was cancelled. Run 'rollcast apply --resume'.") from None
        except ProgramLate:
            raise StackError(f"{self.reference}: its build took more than {timeout_s:g} s. Make it faster.") from None
