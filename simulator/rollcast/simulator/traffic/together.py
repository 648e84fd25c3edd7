"""Files that were recorded at the same time, such as those of several replicas, as one recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.traffic.formats import Rows

_A_DATE_S = 1e8  # seconds since 1970 that are a date (1973); less counts from a recording's own beginning


def together(read: Sequence[tuple[Path, Rows]]) -> Iterator[tuple[str, Rows]]:
    """(name, rows) of each stretch of time, in the order of the files; files whose dates overlap are one stretch.

    A file that is named twice is played twice: one recording is not two replicas.
    """
    groups: list[list[tuple[Path, Rows]]] = []
    for path, rows in read:
        near = [group for group in groups if any(where != path and _overlap(rows, other) for where, other in group)]
        merged = [each for group in near for each in group] + [(path, rows)]
        groups = [group for group in groups if not any(group is one for one in near)]
        groups.append(merged)
    for group in groups:
        names = ", ".join(path.name for path, _ in group)
        yield names, group[0][1] if len(group) == 1 else _merged([rows for _, rows in group], names)


def _overlap(one: Rows, other: Rows) -> bool:
    if not len(one.arrival_s) or not len(other.arrival_s):
        return False
    first, last = one.arrival_s.min(), one.arrival_s.max()
    dated = min(first, other.arrival_s.min()) >= _A_DATE_S
    return bool(dated and first <= other.arrival_s.max() and other.arrival_s.min() <= last)


def _merged(parts: Sequence[Rows], source: str) -> Rows:
    """Rows of several files that were recorded at the same time, as one recording. `source` names the files."""
    counts = [len(part.arrival_s) for part in parts]

    def texts(listed: Sequence[Sequence[str] | None]) -> list[str] | None:
        if all(each is None for each in listed):
            return None
        return [text for each, count in zip(listed, counts, strict=True) for text in (each or [""] * count)]

    def measured(listed: Sequence[Floats | None]) -> Floats | None:
        if all(each is None for each in listed):
            return None
        absent = [np.full(count, np.nan) for count in counts]
        return np.concatenate([other if each is None else each for each, other in zip(listed, absent, strict=True)])

    attributes = [part.attributes for part in parts]
    cached = all(part.blocks is not None for part in parts) and len({part.block_tokens for part in parts}) == 1
    return Rows(
        arrival_s=np.concatenate([part.arrival_s for part in parts]),
        input_tokens=np.concatenate([part.input_tokens for part in parts]),
        output_tokens=np.concatenate([part.output_tokens for part in parts]),
        key=texts([part.key for part in parts]),
        attributes=None if all(each is None for each in attributes) else [
            one for each, count in zip(attributes, counts, strict=True) for one in (each or [{}] * count)
        ],
        query=texts([part.query for part in parts]) if all(part.query is not None for part in parts) else None,
        blocks=[block for part in parts for block in part.blocks or ()] if cached else None,
        block_tokens=parts[0].block_tokens if cached else 0,
        latency_s=measured([part.latency_s for part in parts]),
        first_token_s=measured([part.first_token_s for part in parts]),
        first_failed=next((part.first_failed for part in parts if part.first_failed), ""),
        remarks=[
            *dict.fromkeys(said for part in parts for said in part.remarks),
            f"{source} were recorded at the same time and are merged by time",
        ],
    )  # fmt: skip
