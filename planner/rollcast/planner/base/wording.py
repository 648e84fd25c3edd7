"""How sentences list names that may be many."""

from __future__ import annotations

from collections.abc import Iterable

MOST_NAMES = 12


def some_of(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """All of a few names; of more than `most` the first, and how many more there are."""
    listed = list(names)
    left = len(listed) - most
    return ", ".join(listed) if left <= 0 else f"{', '.join(listed[:most])} and {left:,} more"


__all__ = ["MOST_NAMES", "some_of"]
