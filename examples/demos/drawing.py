"""What is drawn by a seed: the same on every machine, and in any order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def share(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but `parts`."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def one_of(values: Sequence[T], *seed: object) -> T:
    """One of the values, which depends on nothing but `seed`."""
    return values[int(share(*seed) * len(values))]
