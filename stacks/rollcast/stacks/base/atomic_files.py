"""Files and folders that are whole or absent, whenever the machine stops.

Guarantees: a reader sees the old content or the new one, never a part; once `write` or `place` has returned, it is on
the disk. Limit: folders are exchanged atomically on Linux; elsewhere a folder that is replaced is absent for a moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from rollcast.stacks.base.failpoints import failpoint

STAGING = ".staging-"  # what is not whole yet begins with this
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def write(path: Path, text: str | bytes, mode: int = 0o644) -> None:
    """Replaces a file's content; text as UTF-8. Raises OSError, and then the old content is still there.

    A pipe or a device is written as it is; a link stays one, and what it leads to is replaced.
    """
    content = text.encode("utf-8") if isinstance(text, str) else text
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve() if path.is_symlink() else path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, staged = tempfile.mkstemp(prefix=STAGING, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        failpoint("file: before it is replaced")
        os.replace(staged, path)
        failpoint("file: after it is replaced")
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(staged)
        raise
    _sync_folder(path.parent)


def place(staged: Path, folder: Path) -> None:
    """Puts a staged folder in the place of another, or where none was. The one replaced is removed."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for path in staged.rglob("*"):
        if path.is_file():
            _sync(path)
    failpoint("folder: before it is placed")
    if folder.exists():
        _exchange(staged, folder)
        shutil.rmtree(staged, ignore_errors=True)
    else:
        os.replace(staged, folder)
    failpoint("folder: after it is placed")
    _sync_folder(folder.parent)


def remove(folder: Path, doomed: Path) -> None:
    """Takes a folder away in one step, to `doomed` on the same file system, and deletes it there. It may be absent."""
    shutil.rmtree(doomed, ignore_errors=True)
    failpoint("folder: before it is removed")
    with contextlib.suppress(FileNotFoundError):
        os.replace(folder, doomed)
        _sync_folder(folder.parent)
    failpoint("folder: after it is removed")
    shutil.rmtree(doomed, ignore_errors=True)


def prune(folder: Path, top: Path) -> None:
    """Takes a folder and those above it away while they are empty, up to `top`, which stays."""
    while folder.resolve() != top.resolve():
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


@contextlib.contextmanager
def locked(path: Path, wait_s: float = 60.0) -> Iterator[None]:
    """Holds an exclusive lock on a file, which is made when it is absent; the system frees it when a process dies.

    Raises OSError when another process still holds it after `wait_s`: it was stopped in the middle of a write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=wait_s, mode=0o600, poll_interval=0.01)
    try:
        lock.acquire()
    except Timeout:
        raise OSError(errno.EBUSY, "another process holds its lock and does not go on", str(path)) from None
    try:
        yield
    finally:
        lock.release()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:  # some network file systems can't
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def _exchange(one: Path, other: Path) -> None:
    """Exchanges two folders (https://man7.org/linux/man-pages/man2/rename.2.html)."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        rename = None
    if rename is not None:
        failed = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
        if not failed:
            return
        if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))
    away = one.with_name(one.name + ".old")
    os.replace(other, away)
    os.replace(one, other)
    os.replace(away, one)
