"""The schemas: what our own planner and control endpoint write fits them, and they refuse what the prose refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from rollcast.planner.plan.models import Plan
from rollcast.policies.strategies import plans
from rollcast.stacks.flags.definitions import compiled

SPEC = Path(__file__).parents[2] / "spec"
SCHEMAS = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((SPEC / "schemas").glob("*.json"))}
REGISTRY = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in SCHEMAS.values())


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[name], registry=REGISTRY)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_is_one_and_is_named_after_its_version(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == f"rollcast:data-plane/1/{name}"


@given(plans(max_slots=3), st.data())
def test_every_flag_that_is_written_fits_the_schema(plan: Plan, data: st.DataObject) -> None:
    serving = data.draw(st.sampled_from([dict(plan.start), *plan.servings()]))
    for pipeline in sorted({line.pipeline for line in plan.lines.values()}):
        flag, _ = compiled(pipeline, plan.lines, serving, plan.releases, plan.audiences)
        errors = list(validator("flag").iter_errors(json.loads(json.dumps(flag))))
        assert not errors, errors[0].message


STATE: dict[str, Any] = {
    "protocol": 1, "kit": "k/1", "replica": "r", "bucketing": "b", "definitions": {"rollcast-p": None},
    "releases": {"rel-1": 2}, "entered": {"rel-1": 3}, "finished": {"rel-1": 1}, "warm": ["p/i/a"], "degraded": False,
    "time": 1.5,
}  # fmt: skip


@pytest.mark.parametrize(("name", "value", "fits"), [
    ("replica-state", STATE, True),
    ("replica-state", {"releases": {}}, True),
    ("replica-state", {**STATE, "more": 1}, True),
    ("replica-state", {**STATE, "degraded": "no file"}, True),
    ("replica-state", {**STATE, "degraded": True}, False),
    ("replica-state", {**STATE, "releases": {"r": -1}}, False),
    ("replica-state", {}, False),
    ("acknowledgement", {**STATE, "lease_s": 10, "leaving": False}, True),
    ("acknowledgement", {**STATE, "lease_s": 10}, False),
    ("acknowledgement", {**STATE, "lease_s": 0, "leaving": False}, False),
    ("fleet", {"protocol": 1, "relay": "a", "since": 1.0, "replicas": [
        {**STATE, "lease_s": 10, "heard_s": 0.1, "missing": False}]}, True),
    ("fleet", {"protocol": 1, "relay": "a", "since": 1.0, "replicas": [STATE]}, False),
    ("acknowledgement-answer", {"protocol": 1, "warm": [], "interval_s": 1.0}, True),
    ("telemetry-record", {"time": 1, "request": "a", "release": None, "error": True}, True),
    ("telemetry-record", {"time": 1, "label_for": "a", "satisfaction": 1}, True),
    ("telemetry-record", {"time": 1, "request": "a"}, False),
    ("variant", {"release": None, "paused": True}, True),
    ("variant", {"release": "rel-1"}, False),
    ("variant", {"release": "a,b", "channel": "default", "components": {}}, False),
])  # fmt: skip
def test_a_schema_takes_and_refuses(name: str, value: Any, fits: bool) -> None:
    assert validator(name).is_valid(value) == fits


def test_every_point_has_one_number_and_every_vector_of_propagation_names_one() -> None:
    text = (SPEC / "README.md").read_text("utf-8")
    points = re.findall(r"^- \*\*([A-Z]\d+)\*\*", text, re.MULTILINE)
    assert len(points) == len(set(points)) > 25
    for case in json.loads((SPEC / "vectors" / "propagation.json").read_text("utf-8"))["cases"]:
        assert case["point"] in points
        assert (case["status"] == 200) == bool(case["served"]) == bool(case["out"])
        assert len(case["out"].get("baggage", "").encode()) <= 8192
