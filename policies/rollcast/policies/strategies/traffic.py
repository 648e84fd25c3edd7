"""Hypothesis strategies for traffic, performance profiles, networks of stations, and what disturbs them.

Times are small multiples of a coarse unit, so that coincidences (two arrivals, an end and an arrival, a timeout and an
end) are common: they are where two simulators would differ first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from rollcast.planner.declaration.models import Price
from rollcast.simulator.base.draws import name_number
from rollcast.simulator.engines.interface import CapacityChange, Disturbances, Slowdown
from rollcast.simulator.stations.network import Network, Path, PathStep, StationSpec
from rollcast.simulator.stations.profiles import Profile, parse
from rollcast.simulator.traffic.recording import Traffic

UNIT_S = 0.125  # exact in binary, so that sums of it coincide


def times(most: int = 16, least: int = 0) -> st.SearchStrategy[float]:
    """A time in coarse units."""
    return st.integers(least, most).map(lambda units: units * UNIT_S)


def distributions() -> st.SearchStrategy[Any]:
    """A service time, as a profile writes it."""
    return st.one_of(
        times(),
        st.just({"distribution": "exponential", "mean": 0.4}),
        st.just({"distribution": "lognormal", "mean": 0.3, "p95": 0.8}),
        st.just({"distribution": "uniform", "low": 0.0, "high": 1.0}),
        st.just({"distribution": "empirical", "quantiles": [0.1, 0.2, 0.2, 0.9]}),
    )


@st.composite
def profiles(draw: st.DrawFn, kinds: tuple[str, ...] = ("pool", "remote", "llm")) -> Profile:
    """A profile of one of the built-in stations."""
    kind = draw(st.sampled_from(kinds))
    data: dict[str, Any] = {"station": kind}
    if draw(st.booleans()):
        attempts, budget = draw(st.integers(1, 3)), draw(st.sampled_from([0.0, 0.3, 1.0]))
        data["retries"] = {"attempts": attempts, "backoff_s": draw(times(4)), "budget": budget}
    if draw(st.integers(0, 2)) == 0:
        data["cache"] = {"entries": draw(st.integers(1, 4)), "hit_s": draw(times(2))}
        if draw(st.booleans()):
            data["cache"]["ttl_s"] = draw(times(24, 1))
    if kind == "pool":
        data |= {"concurrency": draw(st.integers(1, 3)), "service_s": draw(distributions())}
        data |= {"per_output_token_s": draw(st.sampled_from([0.0, 0.01]))}
        if draw(st.booleans()):
            data["queue"] = draw(st.integers(0, 3))
    elif kind == "remote":
        data |= {"latency_s": draw(distributions()), "burst": draw(st.integers(1, 3))}
        if draw(st.booleans()):
            data["requests_per_s"] = draw(st.sampled_from([1.0, 2.0, 8.0]))
        if draw(st.booleans()):
            data["first_token_s"] = draw(distributions())
    else:
        data |= _llm(draw)
    return parse(data, "a drawn profile")


def _llm(draw: st.DrawFn) -> dict[str, Any]:
    sequences = draw(st.integers(1, 4))
    step = {
        "base_s": draw(times(2, 1)), "prefill_token_s": draw(st.sampled_from([0.0, 0.0078125])),
        "decode_sequence_s": draw(times(1)), "kv_token_s": draw(st.sampled_from([0.0, 0.001])),
        "prefill_attention_s": draw(st.sampled_from([0.0, 0.0001])),
        "weights_s": draw(st.sampled_from([0.0, 0.0625])), "token_s": draw(st.sampled_from([0.0, 0.015625])),
    }  # fmt: skip
    blocks: dict[str, Any] = draw(
        st.sampled_from([{}, {"prefix_tokens": 8}, {"prefix_tokens": 16}, {"prefix_caching": True}])
    )
    return {
        "max_sequences": sequences, "max_batched_tokens": draw(st.integers(sequences, 24)), "step": step,
        "kv_tokens": draw(st.sampled_from([24, 40, 400])), "overhead_s": draw(times(1)),
        "whole_prompt": draw(st.booleans()), "chunked_prefill": draw(st.sampled_from([True, True, False])),
        "balance": draw(st.sampled_from(["requests", "waiting", "turns"])), **blocks,
    }  # fmt: skip


@st.composite
def traffics(draw: st.DrawFn, most: int = 24) -> Traffic:
    """Recorded traffic: few users, few queries, many coincidences."""
    count = draw(st.integers(1, most))
    gaps = draw(st.lists(times(4), min_size=count, max_size=count))
    arrival = np.cumsum(gaps) - gaps[0]
    given = np.array(draw(st.lists(st.integers(0, 24), min_size=count, max_size=count)), np.int64)
    made = np.array(draw(st.lists(st.integers(0, 9), min_size=count, max_size=count)), np.int64)
    users = np.array(draw(st.lists(st.integers(0, 3), min_size=count, max_size=count)), np.int64)
    query = np.array(draw(st.lists(st.integers(0, 5), min_size=count, max_size=count)), np.int64)
    lengths = (given + 3) // 4
    blocks = np.array([(i * (1 + q)) % 7 for q, n in zip(query, lengths, strict=True) for i in range(n)], np.int64)
    return Traffic(
        arrival_s=arrival, input_tokens=given, output_tokens=made, key=users,
        keys=tuple(f"user-{i}" for i in range(4)), attributes=users % 2,
        classes=({"region": "eu"}, {"region": "us"}), query=query, span_s=float(arrival[-1]) + UNIT_S, source="drawn",
        block_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), blocks=blocks, block_tokens=4,
    )  # fmt: skip


@st.composite
def shared_prompts(draw: st.DrawFn, most: int = 60) -> Traffic:
    """Prompts of a few families, which all begin alike and differ in length: what caches of prefixes live on."""
    count = draw(st.integers(8, most))
    gaps = np.array(draw(st.lists(times(8), min_size=count, max_size=count)))
    families = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    lengths = np.array(draw(st.lists(st.integers(1, 6), min_size=count, max_size=count)), np.int64)
    made = np.array(draw(st.lists(st.integers(1, 9), min_size=count, max_size=count)), np.int64)
    blocks = [0 if i == 0 else 10 * family + i for family, n in zip(families, lengths, strict=True) for i in range(n)]
    none = np.zeros(count, np.int64)
    arrival = np.cumsum(gaps) - gaps[0]
    return Traffic(
        arrival_s=arrival, input_tokens=4 * lengths + draw(st.integers(0, 3)), output_tokens=made, key=none,
        keys=("user",), attributes=none, classes=({},), query=none, span_s=float(arrival[-1]) + UNIT_S, source="drawn",
        block_start=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), blocks=np.array(blocks, np.int64),
        block_tokens=4,
    )  # fmt: skip


@st.composite
def sharing(draw: st.DrawFn) -> Network:
    """One llm that keeps prefixes in a key-value memory that is short."""
    data = _llm(draw) | {"prefix_tokens": 0, "prefix_caching": True, "kv_tokens": draw(st.integers(40, 72))}
    data["max_batched_tokens"] = draw(st.integers(8, 40))
    profile = parse({"station": "llm", **data}, "a drawn profile")
    late = draw(st.one_of(st.none(), times(24, 4)))
    spec = StationSpec("llm/0", "llm", "llm@0", name_number("llm"), profile, draw(st.integers(1, 2)), late, Price())
    paths = tuple(_path(f"release-{side}", [0], [()], None) for side in range(2))
    return Network((spec,), paths, {path.release: i for i, path in enumerate(paths)}, True)


@st.composite
def networks(draw: st.DrawFn, kinds: tuple[str, ...] = ("pool", "remote", "llm"), most: int = 4) -> Network:
    """Stations and two releases' paths over them: branches, joins, shared stations, fallbacks."""
    slots = draw(st.integers(1, most))
    specs: list[StationSpec] = []
    columns: list[tuple[int, int]] = []  # per slot: its station in each release
    for slot in range(slots):
        for _ in range(versions := draw(st.integers(1, 2))):
            specs.append(_spec(draw, kinds, f"slot-{slot}", len(specs)))
        columns.append((len(specs) - versions, len(specs) - 1))
    spare = draw(st.integers(1, slots - 1)) if slots > 2 and draw(st.booleans()) else None
    ups = [tuple(sorted(draw(st.sets(st.integers(0, slot - 1))))) if slot else () for slot in range(slots)]
    paths = tuple(_path(f"release-{side}", [column[side] for column in columns], ups, spare) for side in range(2))
    return Network(tuple(specs), paths, {path.release: i for i, path in enumerate(paths)}, True)


def _spec(draw: st.DrawFn, kinds: tuple[str, ...], slot: str, number: int) -> StationSpec:
    return StationSpec(
        id=f"{slot}/{number}", slot=slot, reference=f"{slot}@{number}", number=name_number(slot),
        profile=draw(profiles(kinds)), replicas=draw(st.integers(1, 3)),
        timeout_s=draw(st.one_of(st.none(), times(24, 1))), price=Price(usd_per_request=0.001),
    )  # fmt: skip


def _path(release: str, stations: list[int], ups: list[tuple[int, ...]], spare: int | None) -> Path:
    """`spare` is a slot that only answers when the one before it fails."""
    steps = tuple(
        PathStep(
            slot=f"slot-{k}",
            station=station,
            upstream=() if k == spare else tuple(u for u in ups[k] if u != spare),
            fallback=spare if spare is not None and k == spare - 1 else None,
            ordinary=k != spare,
        )
        for k, station in enumerate(stations)
    )
    return Path(release, "drawn", steps, ())


@st.composite
def disturbances(draw: st.DrawFn, network: Network) -> Disturbances:
    """Loss and return of replicas, slowness, errors."""
    stations = st.integers(0, len(network.stations) - 1)
    capacity, slow = [], []
    for _ in range(draw(st.integers(0, 2))):
        station, at_s = draw(stations), draw(times(40))
        down = draw(st.integers(1, network.stations[station].replicas))
        capacity.append(CapacityChange(at_s, station, down))
        if draw(st.booleans()):
            capacity.append(CapacityChange(at_s + draw(times(24, 1)), station, 0))
    for _ in range(draw(st.integers(0, 2))):
        start_s = draw(times(40))
        slow.append(
            Slowdown(
                station=draw(stations),
                start_s=start_s,
                end_s=start_s + draw(times(40)),
                factor=draw(st.sampled_from([1.0, 2.0])),
                added_s=draw(times(2)),
                errors=draw(st.sampled_from([0.0, 0.5, 1.0])),
            )
        )
    return Disturbances(tuple(sorted(capacity, key=lambda change: change.at_s)), tuple(slow))
