"""What the fault tests tried, added up; `pytest tests/faults` prints it at its end."""

from __future__ import annotations

from collections import Counter

FIGURES: dict[str, Counter[str]] = {}


def note(kind: str, **counts: int) -> None:
    """Adds to the figures of a kind of fault."""
    FIGURES.setdefault(kind, Counter()).update(counts)
