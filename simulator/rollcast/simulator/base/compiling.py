"""Compiled functions: numba, with results that are kept on disk.

numba's own cache looks only at the file that a function is in, not at the functions that it calls. The cache folder is
therefore named by a digest of every source with compiled functions: a change in any compiles all again.
Fast-math stays off, so that compiled arithmetic is IEEE 754 to the last bit.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import config

_Function = TypeVar("_Function", bound=Callable[..., object])


def _folder() -> Path:
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parents[1].rglob("*.py")):
        text = source.read_bytes()
        if b"base.compiling" in text:
            digest.update(text)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "rollcast" / f"compiled-{digest.hexdigest()[:16]}"


FOLDER = _folder()


def compiled(function: _Function) -> _Function:
    """The function, compiled at its first call and kept on disk for the next process."""
    return _compiled(function, True)


def lean(function: _Function) -> _Function:
    """The same without reference counts: for functions that only read and write arrays which their caller holds.

    They may neither make nor return arrays. Counting would cost more than the work of a simulated event.
    """
    return _compiled(function, False)


def _compiled(function: _Function, counted: bool) -> _Function:
    before, config.CACHE_DIR = config.CACHE_DIR, str(FOLDER)  # type: ignore[attr-defined]
    try:
        options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": counted}
        return cast(_Function, numba.njit(**options)(function))
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]


def kept() -> bool:
    """Whether compiled functions of an earlier process are at hand."""
    return FOLDER.is_dir() and any(FOLDER.rglob("*.nbi"))
