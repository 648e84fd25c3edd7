"""What really happened, counted from the service's own records alone: one JSON line for each request it served."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDS = ".rollcast/live/telemetry/requests.jsonl"


@dataclass
class Counts:
    """Requests by release, what each release was seen to be made of, and which requests failed."""

    served: Counter[str] = field(default_factory=Counter)
    made_of: dict[str, set[str]] = field(default_factory=dict)
    replicas: Counter[str] = field(default_factory=Counter)
    times: dict[str, list[float]] = field(default_factory=dict)
    failed: int = 0

    @property
    def mixed(self) -> int:
        """Configurations beyond the one that each release has: 0 where no request was served by a mix."""
        return sum(len(configurations) - 1 for configurations in self.made_of.values())

    def seconds(self, release: str) -> float | None:
        """From the first request that a release served to the last one; None where it served none."""
        times = self.times.get(release)
        return None if not times else max(times) - min(times)


def records(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Every record of a project's telemetry, in the order in which they were written."""
    path = folder / RECORDS
    if path.is_file():
        with path.open(encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines)


def count(folder: Path) -> Counts:
    """All that the records of a project say."""
    found = Counts()
    for record in records(folder):
        found.failed += bool(record["error"])
        found.replicas[record["replica"]] += 1
        if release := record["release"]:
            found.served[release] += 1
            found.times.setdefault(release, []).append(record["time"])
            found.made_of.setdefault(release, set()).add(json.dumps(record["components"], sort_keys=True))
    return found
