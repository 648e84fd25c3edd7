"""A project as it was at a git revision, to plan from what is released: read from git, nothing is checked out."""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollcast.stacks.base.errors import StackError


@contextmanager
def declaration_at(revision: str, folder: Path, file: str) -> Iterator[Path]:
    """The path of the declaration as it was, with its folder around it. Raises StackError."""
    if revision.startswith("-"):
        raise StackError(f"'{revision}' is no git revision. Name a branch, a tag or a commit.")
    prefix = _git(folder, "rev-parse", "--show-prefix").decode().strip()
    commit = _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()
    packed = _git(folder, "archive", "--format=tar", f"{commit}:{prefix}" if prefix else commit)
    with tempfile.TemporaryDirectory(prefix="rollcast-base-") as name:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(name, filter="data")
        there = Path(name) / file
        if not there.is_file():
            raise StackError(f"There is no {prefix}{file} at {revision}. Choose another revision with --base.")
        yield there


def _git(folder: Path, *words: str) -> bytes:
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, check=False)
    except OSError as error:
        raise StackError(f"git can't be run ({error.strerror}). Install it, or plan with --from FILE.") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else "there is no such revision here"
        raise StackError(f"git {words[0]} fails: {why}. Fetch the revision first ('git fetch origin BRANCH').")
    return done.stdout
