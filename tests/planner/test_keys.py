"""One user is one user: any scalar key means the same in telemetry, in traffic and in routing, and no text ends us."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.base.buckets import TOTAL_WEIGHT, bucket_of, buckets_of
from rollcast.planner.base.keys import LONGEST, UnusableKey, key_of, unit_of
from rollcast.planner.plan.models import Share
from rollcast.planner.releases.releases import Track
from rollcast.planner.routing.split import Router
from rollcast.simulator.base.errors import TrafficError
from rollcast.simulator.traffic.recording import read_traffic
from rollcast.stacks.telemetry.records import request_of

TEXTS = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=12)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.integers(10**399, 10**400 - 1)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
LINE = Track(id="default", pipeline="p", channel="default")
SERVING = {"default": tuple(Share(line="default", percent=50.0, release=name) for name in ("new", "old"))}
ROUTER = Router("p", {"default": LINE}, SERVING, {})


def _record(key: Any) -> dict[str, Any]:
    return {"time": 100.0, "request": "r", "key": key, "latency_s": 0.1}


def _traffic(path: Path, key: Any) -> tuple[str, ...] | None:
    path.write_text(json.dumps(_record(key)) + "\n", "utf-8")
    try:
        found = read_traffic(path)
    except TrafficError:
        return None
    return found.keys


@given(SCALARS)
def test_any_scalar_is_the_same_user_everywhere(tmp_path_factory: pytest.TempPathFactory, key: Any) -> None:
    path = tmp_path_factory.mktemp("keys") / "t.jsonl"
    record = json.loads(json.dumps(_record(key)))
    found, keys = request_of(record), _traffic(path, key)
    try:
        wanted = key_of(key)
    except UnusableKey:
        assert found is None
        assert keys is None
        return
    assert found is not None
    assert found.key == wanted
    if not wanted:
        assert keys is not None
        assert len(keys) == 20_000, "nobody is one user of everyone"
        return
    assert keys == (wanted,)
    assert ROUTER.route(found.key, {}) == ROUTER.route(keys[0], {}) == ROUTER.route(wanted, {})
    if isinstance(key, int) and not isinstance(key, bool):  # also of 400 digits
        assert wanted == str(key) == key_of(str(key)), "a number is as good a key as its text"


@given(TEXTS)
def test_any_text_has_a_bucket_and_a_unit(text: str) -> None:
    assert 0 <= bucket_of("salt:", text) < TOTAL_WEIGHT
    assert buckets_of("salt:", [text]).tolist() == [bucket_of("salt:", text)]
    assert 0 <= unit_of(text) < 1 << 64
    assert ROUTER.route(text, {}) is not None


@given(ANYTHING)
def test_whatever_a_key_is_it_is_a_user_or_nobody_or_refused_by_name(value: Any) -> None:
    try:
        key = key_of(value)
    except UnusableKey:
        return
    assert key_of(key) == key
    key.encode()


@pytest.mark.parametrize(("value", "key"), [
    (7, "7"), (7.0, "7"), ("7", "7"), (Decimal("7.00"), "7"), (-0.0, "0"), (1.5, "1.5"), (True, "true"),
    (None, ""), ("", ""), (float("nan"), ""),
])  # fmt: skip
def test_a_number_is_its_text_and_nothing_is_nobody(value: Any, key: str) -> None:
    assert key_of(value) == key


def test_what_is_no_key_is_refused() -> None:
    for value in ("\ud800", "x" * (LONGEST + 1), [], {}, float("inf"), 10**5000, 10**20_000, Decimal("1e999999")):
        with pytest.raises(UnusableKey):
            key_of(value)
