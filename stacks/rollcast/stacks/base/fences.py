"""A folder's fence: the newest fencing token that wrote there, and the lock under which it is compared.

A write whose token is older than one that was seen is refused. Tokens are those of one scope (a pipeline in an
environment): projects that share a folder count each their own.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.errors import FenceError, StackError


class FolderFence:
    """The fence of one folder for one scope. `mark` begins the names of what its scope has not finished."""

    def __init__(self, folder: Path, scope: str = "") -> None:
        self.folder = folder
        self.mark = f"{scope_mark(scope)}-" if scope else ""
        self._shared = folder / ".rollcast-fence"  # of versions that had one for all
        self._own = folder / f".rollcast-fence-{self.mark[:-1]}" if scope else self._shared

    def newest(self) -> int:
        """The newest token that was seen; 0 before there was any. Raises StackError."""
        return max(_token(self._own), _token(self._shared))

    @contextlib.contextmanager
    def held(self, fence: int) -> Iterator[None]:
        """Holds the folder's lock for one short write that is not late. Raises FenceError, StackError."""
        try:
            with atomic_files.locked(self._shared.with_suffix(".lock")):
                newest = self.newest()
                if fence < newest:
                    raise late_write(fence, newest)
                if fence > newest:
                    atomic_files.write(self._own, f"{fence}\n", 0o600)
                yield
        except OSError as error:
            raise StackError(
                f"{self.folder} can't be written ({error.strerror}). Make room or correct its permissions, "
                "then run 'rollcast apply --resume'."
            ) from None

    def staging(self, folder: Path, fence: int, name: str) -> Path:
        """Where in a folder something is made before it is whole, or goes to before it is deleted: one place a name."""
        key = hashlib.sha256(name.encode()).hexdigest()[:16]
        return folder / f"{atomic_files.STAGING}{self.mark}{fence}-{key}"

    def left_behind(self, folder: Path, fence: int) -> Iterator[Path]:
        """What processes of this scope with older tokens left half written; another scope's may be at work."""
        beginning = f"{atomic_files.STAGING}{self.mark}"
        for left in folder.glob(f"{beginning}*"):
            token = left.name.removeprefix(beginning).split("-")[0]
            if token.isdigit() and int(token) < fence:
                yield left


def late_write(fence: int, newest: int) -> FenceError:
    """The refusal of a write whose token is older than one that was seen."""
    return FenceError(
        f"This write carries fencing token {fence}, but {newest} has written since, so it is refused. "
        "Another process has taken over: see 'rollcast status'."
    )


def scope_mark(scope: str) -> str:
    """A scope as a short name; empty for none."""
    return hashlib.sha256(scope.encode()).hexdigest()[:16] if scope else ""


def _token(file: Path) -> int:
    try:
        return int(file.read_text("utf-8"))
    except FileNotFoundError:
        return 0
    except ValueError:
        raise StackError(f"{file} holds no number. Remove it when no rollout is running.") from None
