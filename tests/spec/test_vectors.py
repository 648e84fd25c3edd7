"""The golden vectors: made by flagd's own evaluators, and whatever of ours evaluates a split agrees."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext

from rollcast.planner.base.buckets import BUCKETING, TOTAL_WEIGHT, bucket_of, buckets_of, weight_of
from rollcast.planner.base.keys import key_of

SPEC = Path(__file__).parents[2] / "spec"
PINNED, NEWER = "flagd-murmur3-32/1", "flagd-cbor-murmur3-32/1"


@cache
def generator() -> ModuleType:
    found = importlib.util.spec_from_file_location("spec_generate", SPEC / "generate.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@cache
def vectors(name: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """(what made it, steps, keys with their buckets)."""
    path = SPEC / "vectors" / f"bucketing-{name.replace('/', '-')}.jsonl.gz"
    head, *rows = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    return head, [row["step"] for row in rows if "step" in row], [row for row in rows if "key" in row]


@pytest.mark.parametrize("name", [PINNED, NEWER])
def test_a_file_of_vectors_holds_ten_thousand_keys_and_every_percentage(name: str) -> None:
    head, steps, rows = vectors(name)
    assert head["bucketing"] == name
    assert head["total"] == TOTAL_WEIGHT
    assert len(rows) == head["keys"] == 10_000
    assert set(range(1, 101)) <= {step["percent"] for step in steps}
    keys = [row["key"] for row in rows]
    assert "" in keys
    assert max(map(len, keys)) == 4096
    assert sum(key.isascii() for key in keys) > 4000
    assert sum(not key.isascii() for key in keys) > 3000
    assert [(row["salt"], row["key"]) for row in rows] == generator().keys()


@pytest.mark.parametrize("name", [PINNED, NEWER])
def test_the_steps_and_the_buckets_of_a_file_say_the_same(name: str) -> None:
    _, steps, rows = vectors(name)
    for step in steps:
        taken = "".join("1" if row["bucket"] < step["weight"] else "0" for row in rows)
        assert step["weight"] == weight_of(step["percent"])
        assert step["new"] == taken.count("1")
        assert step["sha256"] == hashlib.sha256(taken.encode()).hexdigest()


def test_our_buckets_are_those_of_the_hash_that_we_pin() -> None:
    assert BUCKETING == PINNED
    _, _, rows = vectors(PINNED)
    wanted = [row["bucket"] for row in rows]
    assert [bucket_of(row["salt"], row["key"]) for row in rows] == wanted
    for salt in generator().SALTS:
        own = [row for row in rows if row["salt"] == salt]
        assert buckets_of(salt, [row["key"] for row in own]).tolist() == [row["bucket"] for row in own]


def test_the_newer_hash_moves_nearly_everybody() -> None:
    """So a fleet of both is no split at all, and must be found."""
    old, new = vectors(PINNED)[2], vectors(NEWER)[2]
    moved = sum(a["bucket"] != b["bucket"] for a, b in zip(old, new, strict=True))
    assert moved > 9_900


def test_the_evaluator_that_is_installed_takes_every_key_to_its_bucket() -> None:
    core = FlagdCore()
    _, _, rows = vectors(PINNED)
    for salt in generator().SALTS:
        fraction = [{"cat": [salt, {"var": "targetingKey"}]}, ["new", 10_000], ["old", 90_000]]
        flag = {"state": "ENABLED", "variants": {"new": {"r": 1}, "old": {"r": 0}}, "defaultVariant": "old"}
        core.set_flags({"flags": {"f": {**flag, "targeting": {"fractional": fraction}}}})
        for row in rows:
            if row["salt"] == salt:
                found = core.resolve_object_value("f", {}, EvaluationContext(row["key"]))
                assert (found.variant == "new") == (row["bucket"] < 10_000)


def test_every_key_of_the_vectors_is_a_key_as_telemetry_and_traffic_read_it() -> None:
    for row in vectors(PINNED)[2]:
        assert key_of(row["key"]) == row["key"]
