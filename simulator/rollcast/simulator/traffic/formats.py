"""The forms in which traffic is recorded, and how each is recognised.

A form is recognised by the names of its fields, not by the name of the file: the Azure trace (CSV), the Mooncake
trace, BurstGPT's (CSV), the project's own telemetry and OpenTelemetry GenAI spans (JSON lines), what load generators
write (`benchmarks`), and, with a declared mapping of columns, any CSV, JSON lines or Parquet file. Text may be
compressed with gzip or zstd, CSV separated by tabs, and JSON one array. A line that can't be used stops the reading
with its number: a forecast of half the requests would be a forecast of something else. Lines out of order are sorted,
and that is said.

Long because every form of traffic is here, a function or two each.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import zstandard

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.base.keys import well_formed
from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.base.errors import TrafficError
from rollcast.simulator.traffic.benchmarks import Recorded, reader_of
from rollcast.simulator.traffic.fields import REMEDY, UNITS_S, key, number, timestamp_s, tokens
from rollcast.simulator.traffic.spans import requests_of
from rollcast.simulator.traffic.texts import text_of

Plain = str | int | float | bool
AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURST_GPT = ("Timestamp", "Request tokens", "Response tokens")
MOONCAKE = ("timestamp", "input_length", "output_length")
TELEMETRY = ("time", "request", "latency_s")
MOONCAKE_BLOCK_TOKENS = 512
_NOT = ("", "0", "false", "no", "none")  # values of a column of failures that say none
_LONGEST_FIELD = 2**31 - 1  # characters: prompts are long, and a row is held whole anyway
_FASTEST, _SLOWEST = 2000.0, 1 / 3600  # requests a second, on average: beyond these a unit is suspicious
_MAPPED = (
    "time", "input_tokens", "output_tokens", "key", "query", "attributes", "latency", "first_token", "ends",
    "first_token_at", "failed", "unit",
)  # fmt: skip


@dataclass
class Rows:
    """Requests as they were recorded; None where a form does not have it. `remarks` become assumptions.

    key is "" for a request that carries none. latency_s and first_token_s are what was measured, for calibration; line
    numbers are those of the file.
    """

    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    key: Sequence[str] | None = None
    attributes: Sequence[Mapping[str, Plain]] | None = None
    query: Sequence[str] | None = None
    blocks: Sequence[Sequence[int]] | None = None
    block_tokens: int = 0
    latency_s: Floats | None = None
    first_token_s: Floats | None = None
    first_failed: str = ""  # where the first request stands that failed; its latency is NaN
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Columns:
    """Which column holds what. `unit` is what times are counted in: s, ms, us, ns, iso, or auto.

    `latency` and `first_token` are lengths of time since the arrival, `ends` and `first_token_at` moments; `failed` is
    true, or holds any text but "0", "false" and "no", where a request failed.
    """

    time: str | None = None
    input_tokens: str | None = None
    output_tokens: str | None = None
    key: str | None = None
    query: str | None = None
    attributes: tuple[str, ...] = ()
    latency: str | None = None
    first_token: str | None = None
    ends: str | None = None
    first_token_at: str | None = None
    failed: str | None = None
    unit: str = "auto"

    def __post_init__(self) -> None:
        if self.unit not in (*UNITS_S, "iso", "auto"):
            raise TrafficError(f"'{self.unit}' is no unit of time. Write one of {', '.join(UNITS_S)}, iso.")
        for length, moment in (("latency", "ends"), ("first_token", "first_token_at")):
            if getattr(self, length) and getattr(self, moment):
                raise TrafficError(f"The column mapping has '{length}' and '{moment}', which say the same. Give one.")

    @classmethod
    def of(cls, mapping: Mapping[str, str]) -> Columns:
        """From `{"time": "ts", "key": "user", "attributes": "region+segment"}`. Raises TrafficError."""
        for name in mapping:
            if name not in _MAPPED:
                raise TrafficError(f"The column mapping names '{name}'. {did_you_mean(name, _MAPPED)}")
        if "time" not in mapping and set(mapping) != {"unit"}:
            raise TrafficError("The column mapping has no 'time'. Say which column holds the time of arrival.")
        plain = {name: column for name, column in mapping.items() if name != "attributes"}
        listed = tuple(part.strip() for part in mapping.get("attributes", "").split("+") if part.strip())
        return cls(attributes=listed, **plain)

    @property
    def maps(self) -> bool:
        return self.time is not None

    @property
    def named(self) -> list[str]:
        """Every column that is named."""
        mapped = (
            self.time, self.input_tokens, self.output_tokens, self.key, self.query, *self.attributes, self.latency,
            self.first_token, self.ends, self.first_token_at, self.failed,
        )  # fmt: skip
        return [column for column in mapped if column is not None]


def read_rows(path: Path, columns: Columns | None = None) -> Rows:
    """The requests of one file. Raises TrafficError naming the file, the line, and what to do."""
    chosen = columns or Columns()
    try:
        if path.stat().st_size == 0:
            raise TrafficError(f"{path} is empty. Record some traffic, or name another file with --traffic.")
        with path.open("rb") as file:
            head = file.read(4)
        if head == b"PAR1":
            return _parquet(path, chosen)
        with text_of(path, head) as text:
            first = text.read(1)
            text.seek(0)
            if not first:
                raise TrafficError(f"{path} is empty. Record some traffic, or name another file with --traffic.")
            if first == "[":
                return _records(path, _array(path, text), chosen)
            if first != "{":
                return _csv(path, text, chosen)
            return _records(path, _document(path, text) or _objects(path, text), chosen)
    except FileNotFoundError:
        raise TrafficError(f"There is no {path}. Name a recorded file with --traffic FILE.") from None
    except UnicodeError as error:
        where = f" (byte {error.start})" if isinstance(error, UnicodeDecodeError) else ""
        raise TrafficError(f"{path} is not UTF-8 text{where}. Save it as UTF-8.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise TrafficError(f"{path} is no whole gzip file. Compress it again.") from None
    except zstandard.ZstdError:
        raise TrafficError(f"{path} is no whole zstd file. Compress it again.") from None
    except OSError as error:
        raise TrafficError(f"{path} can't be read ({error.strerror}). Correct the path or its permissions.") from None


# ---- tables -------------------------------------------------------------------------------------


def _csv(path: Path, text: TextIO, columns: Columns) -> Rows:
    csv.field_size_limit(_LONGEST_FIELD)
    first = text.readline()
    text.seek(0)
    reader = csv.reader(text, delimiter="\t" if "\t" in first and "," not in first else ",")

    def rows() -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            raise TrafficError(f"{path}:{reader.line_num}: no CSV that can be read ({error}). {REMEDY}") from None

    lines = rows()
    header = next(lines, [])

    def records() -> Iterator[tuple[str, Mapping[str, Any]]]:
        for row in lines:
            if not row:
                continue
            place = f"{path}:{reader.line_num}"
            if len(row) != len(header):
                raise TrafficError(f"{place}: {len(row)} fields where the header names {len(header)}. {REMEDY}")
            yield place, dict(zip(header, row, strict=True))

    if columns.maps:
        _known(columns, header, f"{path}:1")
        return _mapped(path, records(), columns)
    known = _known_table(header)
    if known is None:
        raise _unknown(f"{path}:1", header)
    return _mapped(path, records(), known)


def _known_table(names: Sequence[str]) -> Columns | None:
    """The mapping of a table that is known by its columns."""
    if set(AZURE) <= set(names):
        return Columns(*AZURE, unit="iso")
    if set(BURST_GPT) <= set(names):
        user, took = ("Session ID" if "Session ID" in names else None), "Elapsed time"
        about = tuple(name for name in ("Model", "Log Type") if name in names)
        return Columns(*BURST_GPT, key=user, attributes=about, latency=took if took in names else None, unit="s")
    return None


def _parquet(path: Path, columns: Columns) -> Rows:
    import polars

    try:
        frame = polars.read_parquet(path)
    except polars.exceptions.PolarsError as error:
        first = str(error).splitlines()[0]
        raise TrafficError(f"{path} is no Parquet file that can be read ({first}). Write it again.") from None
    names = frame.columns
    if not columns.maps:
        known = _known_table(names)
        if known is None:
            raise _unknown(str(path), names)
        columns = known
    _known(columns, names, str(path))
    records = ((f"{path}, row {i}", row) for i, row in enumerate(frame.iter_rows(named=True), 1))
    return _mapped(path, records, columns)


def _unknown(place: str, names: Sequence[str]) -> TrafficError:
    return TrafficError(
        f"{place}: the columns {', '.join(names[:6])} are of no known form. "
        "Say which column holds what with --columns time=…,input_tokens=…,output_tokens=…."
    )


def _known(columns: Columns, names: Sequence[str], place: str) -> None:
    for column in columns.named:
        if column not in names:
            raise TrafficError(f"{place}: there is no column '{column}'. {did_you_mean(column, names)}")


def _mapped(path: Path, records: Iterator[tuple[str, Mapping[str, Any]]], columns: Columns) -> Rows:
    assert columns.time is not None
    times: list[float] = []
    given: list[int] = []
    made: list[int] = []
    keys: list[str] = []
    queries: list[str] = []
    attributes: list[Mapping[str, Plain]] = []
    took: list[tuple[float, float]] = []
    first_failed = ""
    unseen, names = columns.named, dict[str, None]()
    for place, record in records:
        if unseen:
            names.update(dict.fromkeys(record))
            unseen = [column for column in unseen if column not in record]
        if columns.time in unseen:
            raise TrafficError(
                f"{place}: there is no column '{columns.time}'. {did_you_mean(columns.time, list(names))}"
            )
        _has(record, (columns.time,), place)
        times.append(timestamp_s(record[columns.time], place, columns.unit))
        given.append(tokens(record.get(columns.input_tokens), place) if columns.input_tokens else 0)
        made.append(tokens(record.get(columns.output_tokens), place) if columns.output_tokens else 0)
        if columns.key:
            keys.append(key(record.get(columns.key), place))
        if columns.query:
            queries.append(str(record.get(columns.query)))
        if columns.attributes:
            attributes.append({name: record[name] for name in columns.attributes if record.get(name) is not None})
        if columns.failed and str(record.get(columns.failed) or "").strip().lower() not in _NOT:
            took.append((math.nan, math.nan))
            first_failed = first_failed or place
        else:
            took.append(_took(record, columns, times[-1], place))
    if unseen and times:
        raise TrafficError(f"{path}: no record has a column '{unseen[0]}'. {did_you_mean(unseen[0], list(names))}")
    return _checked(
        path, columns,
        Rows(
            np.array(times, np.float64), np.array(given, np.int64), np.array(made, np.int64), keys or None,
            attributes or None, queries or None, first_failed=first_failed,
            latency_s=np.array([latency for latency, _ in took]) if columns.latency or columns.ends else None,
            first_token_s=np.array([first for _, first in took]) if columns.first_token or columns.first_token_at
            else None,
        ),
    )  # fmt: skip


def _took(record: Mapping[str, Any], columns: Columns, arrival_s: float, place: str) -> tuple[float, float]:
    """Latency and time to first token of a request, NaN where there is none."""
    found = []
    for length, moment in ((columns.latency, columns.ends), (columns.first_token, columns.first_token_at)):
        value = record.get(length or moment or "")
        if value is None or value == "":
            found.append(math.nan)
        elif length:
            found.append(number(value, place, "a length of time") * UNITS_S.get(columns.unit, 1.0))
        else:
            at_s = timestamp_s(value, place, columns.unit)
            if at_s < arrival_s:
                raise TrafficError(f"{place}: '{moment}' is before the request arrives. {REMEDY}")
            found.append(at_s - arrival_s)
    return found[0], found[1]


# ---- JSON ---------------------------------------------------------------------------------------


def _document(path: Path, text: TextIO) -> Iterator[tuple[str, dict[str, Any]]] | None:
    """The one object that a file is, where it does not stand in one line."""
    whole = text.readline().rstrip().endswith("}")
    text.seek(0)
    if whole:
        return None
    try:
        value = json.loads(text.read())
    except (ValueError, RecursionError):
        text.seek(0)
        return None  # read line by line, it says where
    return iter([(str(path), _object(value, str(path)))])


def _objects(path: Path, lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for line_number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}:{line_number}"
        yield place, _object(_json(line, place), place)


def _array(path: Path, text: TextIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of one JSON array."""
    whole = text.read()
    for number_, value in enumerate(_json(whole, str(path)), 1):
        place = f"{path}, record {number_}"
        yield place, _object(value, place)


def _json(text: str, place: str) -> Any:
    """What a JSON text holds. A text with a lone surrogate can't be written anywhere, so it is refused here."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise TrafficError(f"{place}: not JSON ({error}). {REMEDY}") from None
    except RecursionError:
        raise TrafficError(f"{place}: nested too deep. {REMEDY}") from None
    if "\\u" in text and not well_formed(json.dumps(value, ensure_ascii=False)):
        raise TrafficError(f"{place}: holds a lone surrogate, which is no text. {REMEDY}")
    return value


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TrafficError(f"{place}: not an object. {REMEDY}")
    return value


def _records(path: Path, objects: Iterator[tuple[str, dict[str, Any]]], columns: Columns) -> Rows:
    place, first = next(objects, (str(path), {}))

    def all_() -> Iterator[tuple[str, dict[str, Any]]]:
        yield place, first
        yield from objects

    names = set(first)
    if columns.maps:
        return _mapped(path, all_(), columns)
    if set(MOONCAKE) <= names:
        return _mooncake(path, all_(), columns)
    if set(TELEMETRY) <= names:
        return _telemetry(path, all_())
    if "resourceSpans" in names:
        return _otlp(path, all_())
    reader = reader_of(names)
    if reader is None:
        raise _unknown(place, sorted(first))
    try:
        return _load(path, list(reader(all_())))
    except (KeyError, AttributeError, TypeError) as error:
        raise TrafficError(f"{path}: a record lacks what its form has ({error}). Write the file again.") from None


def _load(path: Path, found: Sequence[Recorded]) -> Rows:
    """What a load generator has written. Its files hold a clock and a unit of their own, so no unit is doubted."""
    return _checked(
        path, Columns(unit="s"),
        Rows(
            np.array([each.arrival_s for each in found], np.float64),
            np.array([each.input_tokens for each in found], np.int64),
            np.array([each.output_tokens for each in found], np.int64),
            [each.key for each in found] if any(each.key for each in found) else None,
            latency_s=np.array([each.latency_s for each in found], np.float64),
            first_token_s=np.array([each.first_token_s for each in found], np.float64),
            first_failed=next((each.place for each in found if each.failed), ""),
        ),
    )  # fmt: skip


def _has(record: Mapping[str, Any], names: Sequence[str], place: str) -> None:
    missing = [name for name in names if name not in record]
    if missing:
        raise TrafficError(f"{place}: no '{missing[0]}'. {REMEDY}")


def _mooncake(path: Path, objects: Iterator[tuple[str, dict[str, Any]]], columns: Columns) -> Rows:
    """Records may also say what their blocks are long (`block_tokens`) and what they took (`latency_s`, `ttft_s`)."""
    unit = "ms" if columns.unit == "auto" else columns.unit
    times: list[float] = []
    took: list[list[float]] = []
    sizes_of_blocks: set[int] = set()
    lengths: list[tuple[int, int]] = []
    blocks: list[list[int]] = []
    for place, record in objects:
        _has(record, MOONCAKE, place)
        times.append(timestamp_s(record["timestamp"], place, unit))
        lengths.append((tokens(record["input_length"], place), tokens(record["output_length"], place)))
        ids = record.get("hash_ids", [])
        if not isinstance(ids, list) or not all(isinstance(i, int) and 0 <= i < 1 << 31 for i in ids):
            raise TrafficError(f"{place}: 'hash_ids' is not a list of block numbers. {REMEDY}")
        blocks.append(ids)
        took.append([math.nan if record.get(n) is None else number(record[n], place) for n in ("latency_s", "ttft_s")])
        sizes_of_blocks.add(tokens(record.get("block_tokens", MOONCAKE_BLOCK_TOKENS), place))
        if len(sizes_of_blocks) > 1 or 0 in sizes_of_blocks:
            raise TrafficError(f"{place}: blocks of {sorted(sizes_of_blocks)} tokens; all must be of one. {REMEDY}")
    table = np.array(took, np.float64).reshape(-1, 2)
    measured = bool(np.isfinite(table).any())
    sizes = np.array(lengths, np.int64).reshape(-1, 2)
    rows = Rows(
        np.array(times, np.float64), sizes[:, 0].copy(), sizes[:, 1].copy(), blocks=blocks,
        block_tokens=next(iter(sizes_of_blocks), MOONCAKE_BLOCK_TOKENS),
        latency_s=table[:, 0].copy() if measured else None, first_token_s=table[:, 1].copy() if measured else None,
    )  # fmt: skip
    return _checked(path, columns, rows)


def _telemetry(path: Path, objects: Iterator[tuple[str, dict[str, Any]]]) -> Rows:
    """Records are written when a request ends: it arrived its latency before."""
    first_failed, found = "", list[tuple[float, int, int, float, float]]()
    keys: list[str] = []
    attributes: list[Mapping[str, Plain]] = []
    for place, record in objects:
        _has(record, TELEMETRY, place)
        latency_s = number(record["latency_s"], place)
        failed, first_s = record.get("error") is True, record.get("ttft_s")
        first_failed = first_failed or (place if failed else "")
        found.append(
            (
                timestamp_s(record["time"], place) - latency_s, tokens(record.get("input_tokens") or 0, place),
                tokens(record.get("output_tokens") or 0, place),
                math.nan if failed else latency_s, math.nan if failed or first_s is None else number(first_s, place),
            )
        )  # fmt: skip
        keys.append(key(record.get("key"), place))
        own = record.get("attributes")
        attributes.append({k: v for k, v in own.items() if isinstance(v, Plain)} if isinstance(own, dict) else {})
    table = np.array(found, np.float64).reshape(-1, 5)
    return _checked(
        path, Columns(unit="s"),
        Rows(
            table[:, 0].copy(), table[:, 1].astype(np.int64), table[:, 2].astype(np.int64), keys, attributes,
            latency_s=table[:, 3].copy(), first_token_s=table[:, 4].copy(), first_failed=first_failed,
        ),
    )  # fmt: skip


def _otlp(path: Path, objects: Iterator[tuple[str, dict[str, Any]]]) -> Rows:
    found, inner = requests_of(objects)
    if not found:
        raise TrafficError(
            f"{path} holds spans, but none with gen_ai.usage.input_tokens. Record generative AI spans as the "
            "OpenTelemetry semantic conventions name them."
        )
    return _checked(
        path, Columns(unit="ns"),
        Rows(
            np.array([span.start_s for span in found]), np.array([span.input_tokens for span in found], np.int64),
            np.array([span.output_tokens for span in found], np.int64), [span.key for span in found],
            [span.attributes for span in found],
            latency_s=np.array([math.nan if span.failed else span.end_s - span.start_s for span in found]),
            first_token_s=np.array([math.nan if span.failed else span.first_token_s for span in found]),
            first_failed=next((span.place for span in found if span.failed), ""),
            remarks=[f"{inner:,} spans are inside another request to a model and are no requests of their own"] if inner
            else [],
        ),
    )  # fmt: skip


# ---- plausibility -------------------------------------------------------------------------------


def _checked(path: Path, columns: Columns, rows: Rows) -> Rows:
    times = rows.arrival_s
    if len(times) > 1:
        late = int((np.diff(times) < 0).sum())
        if late:
            rows.remarks.append(f"{path.name}: {late:,} lines were out of order and were sorted by time")
        _plausible(path, columns, times)
    return rows


def _plausible(path: Path, columns: Columns, times: Floats) -> None:
    """Asks about a unit that would make the trace absurd, unless it was declared."""
    lasts_s = float(times.max() - times.min())
    if columns.unit not in ("auto",) or lasts_s <= 0 or len(times) < 20:
        return
    rate = len(times) / lasts_s
    if rate > _FASTEST or rate < _SLOWEST:
        what = f"{rate:,.0f} requests a second" if rate > 1 else f"one request in {1 / rate:,.0f} s"
        raise TrafficError(
            f"{path}: {what} on average is suspicious: are its times in another unit? Say in which, also if it is "
            "right as it is, with --columns unit=s (or ms, us, ns)."
        )
