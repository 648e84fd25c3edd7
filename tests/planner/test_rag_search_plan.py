"""The plan of the shipped example: order, safety, and the public JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollcast.planner.base.errors import DeclarationError
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.safety.invariants import violations

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"


def declared(name: str) -> Declaration:
    return load((EXAMPLE / name).read_text("utf-8"), name, lambda file: (EXAMPLE / file).read_text("utf-8"))


def example_plan() -> Plan:
    return make_plan(declared("rollcast.yaml"), live_as_declared(declared("released.yaml")))


def test_an_embedder_and_its_index_switch_together_because_no_mix_of_them_works() -> None:
    assert ("embedder", "index") in example_plan().groups


def test_every_component_shifts_after_what_it_needs() -> None:
    order = [m.step for m in example_plan().milestones if m.kind == "shift" and m.percent == 100.0]
    assert order.index("embedder+index") < order.index("reranker") < order.index("safety")


def test_no_reachable_state_breaks_a_contract() -> None:
    assert list(violations(example_plan())) == []


def test_a_plan_survives_its_public_json_form() -> None:
    plan = example_plan()
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))).digest == plan.digest


def test_what_is_live_as_declared_needs_no_plan() -> None:
    declaration = declared("rollcast.yaml")
    assert make_plan(declaration, live_as_declared(declaration)).empty


@pytest.mark.parametrize(
    ("broken", "expected"),
    [
        ("reranker: {artifact: bm25@2", "reranker: {artifact: bm26@2"),
        ("index: {artifact: stdlib@2, upstream: [embedder]}", "index: {artifact: stdlib@2, upstream: [safety]}"),
        ("index: {artifact: stdlib@2, upstream: [embedder]}", "index: {artifact: stdlib@2, upstream: [embeder]}"),
        ("components:", "component:"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_its_remedy(broken: str, expected: str) -> None:
    text = (EXAMPLE / "rollcast.yaml").read_text("utf-8").replace(broken, expected)
    with pytest.raises(DeclarationError) as caught:
        load(text, "rollcast.yaml", lambda file: (EXAMPLE / file).read_text("utf-8"))
    assert all(d.line > 0 and d.remedy for d in caught.value.diagnostics)
