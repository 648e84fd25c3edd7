"""What can't run twice and would have to switch with its wiring: the plan goes by way of a release in between."""

from __future__ import annotations

from hypothesis import given

from rollcast.planner.base.errors import NoSafeOrder
from rollcast.planner.loading.loader import load
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies import Transition, rewirings
from tests.planner.every_state import Oracle
from validation.safe_orders import an_order_is_safe

HEAD = """
schema: rollcast/v1
pipeline: answers
artifacts:
  - {kind: retrieval-index, name: index, version: "1"}
  - {kind: model-weights, name: generator, version: "1", provides: {format: "1"}}
  - {kind: model-weights, name: generator, version: "2", provides: {format: "1"}}
  - {kind: reranker, name: reranker, version: "1", requires: {format: {value: "1", of: generator}}}
components:
"""
BEFORE = (
    HEAD
    + """
  index: {artifact: index@1}
  generator: {artifact: generator@1, upstream: [index], in_place: true, independent_of: [index]}
"""
)
AFTER = (
    HEAD
    + """
  index: {artifact: index@1}
  reranker: {artifact: reranker@1, upstream: [index], independent_of: [index]}
  generator: {artifact: generator@2, upstream: [reranker], in_place: true, independent_of: [index, reranker]}
"""
)


def test_wiring_and_version_change_one_after_the_other_where_together_no_order_is_safe() -> None:
    plan = make_plan(load(AFTER), live_as_declared(load(BEFORE)))
    assert len([step for step in plan.groups if "generator" in step]) == 2
    assert any("by way of releases" in note for note in plan.notes)
    assert Oracle(plan).run() == set()
    assert [operation.artifact for operation in plan.operations if operation.in_place] == ["generator@2"]


@given(rewirings(max_slots=3, in_place=True))
def test_it_is_refused_exactly_where_brute_force_finds_no_order(pair: Transition) -> None:
    try:
        make_plan(pair.declared, live_as_declared(pair.released))
    except NoSafeOrder:
        assert not an_order_is_safe(pair)
