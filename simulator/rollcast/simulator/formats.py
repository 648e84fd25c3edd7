"""The forms in which traffic is recorded, and how each is recognised.

A form is recognised by the names of its fields, never by the name of the file. A line that can't be used stops the
reading with its number: a forecast of half the requests would be a forecast of something else.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from rollcast.planner.errors import did_you_mean
from rollcast.simulator.draws import Floats, Ints
from rollcast.simulator.errors import TrafficError

MOST_TOKENS = 10_000_000
Plain = str | int | float | bool


@dataclass
class Rows:
    """Requests as they were recorded; None where a form does not have it. `remarks` become assumptions."""

    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    key: Sequence[str] | None = None
    attributes: Sequence[Mapping[str, Plain]] | None = None
    query: Sequence[str] | None = None
    blocks: Sequence[Sequence[int]] | None = None
    block_tokens: int = 0
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Columns:
    """Which column holds what. Attributes are all columns named in `attributes`."""

    time: str
    input_tokens: str | None = None
    output_tokens: str | None = None
    key: str | None = None
    query: str | None = None
    attributes: tuple[str, ...] = ()
    unit: str = "auto"

    @classmethod
    def of(cls, mapping: Mapping[str, str]) -> Columns:
        """From `{"time": "ts", "key": "user", "attributes": "region,segment"}`. Raises TrafficError."""
        known = ("time", "input_tokens", "output_tokens", "key", "query", "attributes", "unit")
        for name in mapping:
            if name not in known:
                raise TrafficError(f"The column mapping names '{name}'. {did_you_mean(name, known)}")
        if "time" not in mapping:
            raise TrafficError("The column mapping has no 'time'. Say which column holds the time of arrival.")
        plain = {name: column for name, column in mapping.items() if name != "attributes"}
        listed = tuple(part.strip() for part in mapping.get("attributes", "").split(",") if part.strip())
        return cls(attributes=listed, **plain)


def read_rows(path: Path, columns: Columns | None = None) -> Rows:
    """The requests of one file. Raises TrafficError."""
    try:
        if path.stat().st_size == 0:
            raise TrafficError(f"{path} is empty. Record some traffic, or name another file with --traffic.")
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _csv(path, file)
    except FileNotFoundError:
        raise TrafficError(f"There is no {path}. Name a recorded file with --traffic FILE.") from None
    except UnicodeDecodeError as error:
        raise TrafficError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise TrafficError(f"{path} can't be read ({error.strerror}). Correct the path or its permissions.") from None


def _csv(path: Path, lines: Iterator[str]) -> Rows:
    reader = csv.reader(lines)
    header = next(reader)
    names = {"TIMESTAMP", "ContextTokens", "GeneratedTokens"}
    if not names <= set(header):
        raise TrafficError(
            f"{path}:1: the columns {', '.join(header[:6])} are of no known form. "
            "Say which column holds what with --columns time=…,input_tokens=…,output_tokens=…."
        )
    at, given, made = (header.index(name) for name in ("TIMESTAMP", "ContextTokens", "GeneratedTokens"))
    found: list[tuple[float, int, int]] = []
    for row in reader:
        if not row:
            continue
        place = f"{path}:{reader.line_num}"
        if len(row) != len(header):
            raise TrafficError(f"{place}: {len(row)} fields where the header names {len(header)}. {REMEDY}")
        found.append((timestamp_s(row[at], place), tokens(row[given], place), tokens(row[made], place)))
    times, inputs, outputs = zip(*found, strict=True) if found else ((), (), ())
    return Rows(np.array(times, np.float64), np.array(inputs, np.int64), np.array(outputs, np.int64))


REMEDY = "Correct or remove the line."


def timestamp_s(text: str, place: str) -> float:
    """Seconds since 1970 of an ISO 8601 time. Raises TrafficError naming the place."""
    try:
        parsed = datetime.fromisoformat(text.strip()[:26].rstrip("Zz"))
    except ValueError:
        raise TrafficError(f"{place}: '{text[:40]}' is not a time such as 2023-11-16 18:15:46.680. {REMEDY}") from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def tokens(text: str, place: str) -> int:
    """A count of tokens. Raises TrafficError naming the place."""
    try:
        value = int(text)
    except ValueError:
        raise TrafficError(f"{place}: '{text[:40]}' is not a number of tokens. {REMEDY}") from None
    if not 0 <= value <= MOST_TOKENS:
        raise TrafficError(f"{place}: {value} tokens are not possible; 0 to {MOST_TOKENS:,} are. {REMEDY}")
    return value


Reader = Callable[[Path, Iterator[str]], Rows]
