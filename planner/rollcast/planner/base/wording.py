"""How sentences list names that may be many."""

from __future__ import annotations

from collections.abc import Iterable

MOST_NAMES = 12


def some_of(names: Iterable[str], most: int = MOST_NAMES) -> str:
    """All of a few names; of more than `most` the first, and how many more there are."""
    listed = list(names)
    left = len(listed) - most
    return ", ".join(listed) if left <= 0 else f"{', '.join(listed[:most])} and {left:,} more"


def in_words(names: Iterable[str], last: str = "and") -> str:
    """All of them, as a person lists them: `a, b and c`."""
    listed = list(names)
    return f" {last} ".join(part for part in (", ".join(listed[:-1]), *listed[-1:]) if part)


__all__ = ["MOST_NAMES", "in_words", "some_of"]
