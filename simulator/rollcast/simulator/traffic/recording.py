"""Recorded traffic: the requests that a forecast replays, as arrays.

`read_traffic` reads files (see `formats` for the forms), puts them on one clock that starts at 0 (`together` says which
are of one time), and derives by a seeded rule what a trace does not have. What is derived is said in `assumptions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.base.errors import TrafficError
from rollcast.simulator.traffic.formats import Columns, Rows, read_rows
from rollcast.simulator.traffic.synthetic import USERS, attributes_of_users, queries_of, users_of
from rollcast.simulator.traffic.together import together

Attributes = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Traffic:
    """n requests in order of arrival.

    arrival_s [n] seconds from 0; input_tokens, output_tokens [n]; key [n] index into `keys` (targeting keys);
    attributes [n] index into `classes`; query [n] what caches take for the same question; prefix blocks of request i
    are `blocks[block_start[i]:block_start[i + 1]]`, each `block_tokens` long; `span_s` is the time from the start of
    the trace to the start of its repetition.
    """

    arrival_s: Floats
    input_tokens: Ints
    output_tokens: Ints
    key: Ints
    keys: tuple[str, ...]
    attributes: Ints
    classes: tuple[Attributes, ...]
    query: Ints
    span_s: float
    source: str = ""
    block_start: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    blocks: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    block_tokens: int = 0
    assumptions: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.arrival_s)

    def scaled(self, factor: float) -> Traffic:
        """The same requests, `factor` times as fast one after another. Raises TrafficError."""
        if not 0 < factor < float("inf"):
            raise TrafficError(f"The scale {factor:g} is not a rate. Give a number above 0, for example 2.")
        if factor == 1.0:
            return self
        said = f"arrivals come {factor:g} times as fast as recorded"
        return replace(
            self, arrival_s=self.arrival_s / factor, span_s=self.span_s / factor, assumptions=(*self.assumptions, said)
        )

    def warped(self, pieces: Sequence[tuple[float, float]]) -> Traffic:
        """Faster or slower from given moments on: pieces of (recorded second, factor). Raises TrafficError.

        `[(600, 3), (1200, 1)]` is a rush of ten minutes, three times as fast as recorded.
        """
        starts = [start for start, _ in pieces]
        if starts != sorted(starts) or any(not 0 < factor < float("inf") for _, factor in pieces):
            raise TrafficError("A time warp needs moments in order and factors above 0, for example 10m=3,20m=1.")
        edges = np.array([0.0, *starts, np.inf])
        factors = np.array([1.0, *(factor for _, factor in pieces)])
        lengths = np.diff(edges)[:-1] / factors[:-1]
        begins = np.concatenate([[0.0], np.cumsum(lengths)])

        def moved(times: Floats) -> Floats:
            piece = np.searchsorted(edges[1:-1], times, side="right")
            new: Floats = begins[piece] + (times - edges[piece]) / factors[piece]
            return new

        said = "time is warped: " + ", ".join(f"from {start:g} s {factor:g} times as fast" for start, factor in pieces)
        span_s = float(moved(np.array([self.span_s]))[0])
        return replace(self, arrival_s=moved(self.arrival_s), span_s=span_s, assumptions=(*self.assumptions, said))

    def between(self, start_s: float, end_s: float) -> Traffic:
        """The requests that arrive from `start_s` on and before `end_s`, with the clock set back to 0."""
        first, last = np.searchsorted(self.arrival_s, [start_s, end_s])
        own = slice(int(first), int(last))
        if first == last:
            raise TrafficError(f"No request arrives from {start_s:g} s to {end_s:g} s.")
        blocks = self.block_start[own.start : own.stop + 1]
        return replace(
            self, arrival_s=self.arrival_s[own] - start_s, input_tokens=self.input_tokens[own],
            output_tokens=self.output_tokens[own], key=self.key[own], attributes=self.attributes[own],
            query=self.query[own], span_s=min(end_s, self.span_s) - start_s, block_start=blocks,
        )  # fmt: skip


Users = Literal["synthetic", "required"]


def read_traffic(
    paths: str | Path | Sequence[str | Path],
    *,
    seed: int = 0,
    scale: float = 1.0,
    columns: Columns | Mapping[str, str] | None = None,
    users: Users = "synthetic",
) -> Traffic:
    """The requests of one or more files: those of one time merged by time, the others one after another.

    Files are of one time where their timestamps are dates and overlap, as those of several replicas do. `users`:
    whether a request without a user gets a synthetic one, or is refused (`required`).

    Raises TrafficError naming the file, the line, and what to do.
    """
    if users not in get_args(Users):
        raise TrafficError(f"Users can't be '{users}'. Choose {' or '.join(get_args(Users))}.")
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if not files:
        raise TrafficError("No traffic is given. Name a recorded file with --traffic FILE.")
    mapping = columns if columns is None or isinstance(columns, Columns) else Columns.of(columns)
    read = [(path, read_rows(path, mapping)) for path in files]
    if users == "required":
        _refuse_nobody(read)
    parts = [traffic_of(rows, source, seed) for source, rows in together(read)]
    return spliced(parts).scaled(scale)


def _refuse_nobody(read: Iterable[tuple[Path, Rows]]) -> None:
    for path, rows in read:
        nobody = len(rows.arrival_s) if rows.key is None else sum(not key for key in rows.key)
        if nobody:
            raise TrafficError(
                f"{path}: {nobody:,} of {len(rows.arrival_s):,} requests carry no user, and users are required. Name "
                "their column with --columns key=NAME, or let users be synthetic (--users synthetic)."
            )


def traffic_of(rows: Rows, source: str, seed: int = 0) -> Traffic:
    """Traffic from rows; users, attributes and queries that are not recorded are derived."""
    count = len(rows.arrival_s)
    if not count:
        raise TrafficError(f"{source} holds no requests. Record some, or name another file with --traffic.")
    order = np.argsort(rows.arrival_s, kind="stable")
    arrival = rows.arrival_s[order] - rows.arrival_s.min()
    said = list(rows.remarks)
    recorded = rows.key if rows.key is not None and any(rows.key) else None
    keys, key = users_of(seed, count) if recorded is None else _indexed(_known(recorded, order, seed), order)
    if recorded is None:
        why = "" if rows.key is None else "no request carries a targeting key: "
        said.append(f"{why}users are synthetic: {len(keys):,} of them, drawn from seed {seed} and the row")
    elif not all(recorded):
        missing = sum(not key for key in recorded)
        said.append(
            f"{missing:,} of {count:,} requests carry no targeting key: each gets one of {USERS:,} synthetic users, "
            f"drawn from seed {seed} and the row"
        )
    classes: tuple[Attributes, ...]
    if rows.attributes is None:
        classes, of_user = attributes_of_users(seed, len(keys))
        attributes = of_user[key]
        said.append(f"regions and segments are synthetic: drawn from seed {seed} and the user")
    else:
        classes, attributes = _classes(rows.attributes, order)
    query = queries_of(seed, count) if rows.query is None else _indexed(rows.query, order)[1]
    starts, blocks = _blocks(rows, order)
    return Traffic(
        arrival_s=arrival, input_tokens=rows.input_tokens[order], output_tokens=rows.output_tokens[order],
        key=key, keys=keys, attributes=attributes, classes=classes, query=query,
        span_s=float(arrival[-1]) * count / max(count - 1, 1) or 1.0, source=source,
        block_start=starts, blocks=blocks, block_tokens=rows.block_tokens, assumptions=tuple(said),
    )  # fmt: skip


def _indexed(values: Sequence[str], order: npt.NDArray[np.intp]) -> tuple[tuple[str, ...], Ints]:
    """Distinct texts in order, and which of them each request has. Held as they are: one long text widens no table."""
    names = tuple(sorted(set(values)))
    places = {name: place for place, name in enumerate(names)}
    return names, np.fromiter((places[value] for value in values), np.int64, len(values))[order]


def _known(keys: Sequence[str], order: npt.NDArray[np.intp], seed: int) -> list[str]:
    """Keys, with a synthetic user for each request that carries none. No recorded key is like a synthetic one."""
    names, drawn = users_of(seed, len(keys))
    of_row = np.empty(len(keys), np.int64)
    of_row[order] = drawn
    taken = set(keys)
    prefix = "synthetic/"
    while any(key.startswith(prefix) for key in taken):
        prefix += "/"
    return [key or prefix + names[row] for key, row in zip(keys, of_row, strict=True)]


def _classes(values: Sequence[Attributes], order: npt.NDArray[np.intp]) -> tuple[tuple[Attributes, ...], Ints]:
    """Distinct attribute sets, and which of them each request has."""
    found: dict[tuple[tuple[str, object], ...], int] = {}
    kept: list[Attributes] = []
    index = np.empty(len(values), np.int64)
    for i, attributes in enumerate(values):
        identity = tuple(sorted(attributes.items()))
        if identity not in found:
            found[identity] = len(kept)
            kept.append(attributes)
        index[i] = found[identity]
    return tuple(kept), index[order]


def _blocks(rows: Rows, order: npt.NDArray[np.intp]) -> tuple[Ints, Ints]:
    if rows.blocks is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    listed = [rows.blocks[i] for i in order]
    starts = np.concatenate([[0], np.cumsum([len(blocks) for blocks in listed])]).astype(np.int64)
    return starts, np.fromiter((block for blocks in listed for block in blocks), np.int64, int(starts[-1]))


def spliced(parts: Iterable[Traffic]) -> Traffic:
    """Several traces as one: each begins where the one before ends. Users of the same key are the same user."""
    listed = list(parts)
    if len(listed) == 1:
        return listed[0]
    keys = {name: i for i, name in enumerate(dict.fromkeys(name for part in listed for name in part.keys))}
    starts = np.concatenate([[0.0], np.cumsum([part.span_s for part in listed])])
    classes = tuple(attributes for part in listed for attributes in part.classes)
    before = np.cumsum([0, *(len(part.classes) for part in listed)])
    prefixed = all(len(part.block_start) for part in listed)
    block_starts = np.cumsum([0, *(len(part.blocks) for part in listed)])
    return Traffic(
        arrival_s=np.concatenate([part.arrival_s + at for part, at in zip(listed, starts, strict=False)]),
        input_tokens=np.concatenate([part.input_tokens for part in listed]),
        output_tokens=np.concatenate([part.output_tokens for part in listed]),
        key=np.concatenate([np.array([keys[name] for name in part.keys])[part.key] for part in listed]),
        keys=tuple(keys),
        attributes=np.concatenate([part.attributes + n for part, n in zip(listed, before, strict=False)]),
        classes=classes,
        query=np.concatenate([part.query for part in listed]),
        span_s=float(starts[-1]),
        source=", ".join(part.source for part in listed),
        block_start=np.concatenate([*(part.block_start[:-1] + n for part, n in zip(listed, block_starts, strict=False)),
                                    block_starts[-1:]]) if prefixed else np.zeros(0, np.int64),
        blocks=np.concatenate([part.blocks for part in listed]) if prefixed else np.zeros(0, np.int64),
        block_tokens=listed[0].block_tokens,
        assumptions=tuple(dict.fromkeys(said for part in listed for said in part.assumptions)),
    )  # fmt: skip
