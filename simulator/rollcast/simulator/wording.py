"""How the sentences of a forecast list names."""

from __future__ import annotations

from collections.abc import Iterable

MOST_NAMES = 12


def some_of(names: Iterable[str]) -> str:
    """All of a few names; of many the first, and how many more there are."""
    listed = list(names)
    left = len(listed) - MOST_NAMES
    return ", ".join(listed) if left <= 0 else f"{', '.join(listed[:MOST_NAMES])} and {left:,} more"


__all__ = ["MOST_NAMES", "some_of"]
