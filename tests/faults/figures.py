"""What the fault tests tried, added up; `pytest tests/faults` prints it at its end as the table of the guarantees.

`FIGURES` holds those of the test that runs; they leave with its report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Protocol

COLUMNS = {
    "rollouts": "rollouts",
    "faults": "faults tried",
    "survived": "survived",
    "served": "requests served meanwhile",
    "failed": "failed",
    "mixed": "mixed configurations",
    "lost": "milestones lost",
}
FIGURES: dict[str, Counter[str]] = {}


class Outcomes(Protocol):
    """What served live requests."""

    @property
    def served(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def mixed(self) -> int: ...


def tried(kind: str, faults: int, requests: Outcomes, lost: int = 0) -> None:
    """One rollout that was broken, before anything is asserted of it: what failed is counted as well."""
    _note(
        kind, rollouts=1, faults=faults, served=requests.served, failed=requests.failed, mixed=requests.mixed, lost=lost
    )


def survived(kind: str, faults: int) -> None:
    """All that must hold after that rollout does."""
    _note(kind, survived=faults)


def _note(kind: str, **counts: int) -> None:
    FIGURES.setdefault(kind, Counter()).update(counts)


def table(figures: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """The figures in Markdown, a line a kind, the most faults first, and their sums."""
    yield f"| kind | {' | '.join(COLUMNS.values())} |"
    yield f"| --- |{' ---: |' * len(COLUMNS)}"
    sums: Counter[str] = Counter()
    for kind, counts in sorted(figures.items(), key=lambda item: (-item[1].get("faults", 0), item[0])):
        sums.update(counts)
        yield _row(kind, counts)
    yield _row("all", sums)


def _row(kind: str, counts: Mapping[str, int]) -> str:
    return f"| {kind} | {' | '.join(f'{counts.get(name, 0):,}' for name in COLUMNS)} |"
