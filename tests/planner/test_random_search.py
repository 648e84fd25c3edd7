"""The random search of the validation page, smaller; and the brute force that says whether a refusal is right."""

from __future__ import annotations

import pytest

from rollcast.planner.base.errors import NoSafeOrder
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.loader import load
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies import Transition
from validation.declarations import KINDS, Kind, changes_of, search, section
from validation.safe_orders import an_order_is_safe


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_pair_of_any_kind_breaks_a_promise_or_is_refused_without_reason(kind: Kind) -> None:
    found = search(kind, 20, 77)
    assert found.pairs == 20
    assert found.violations == found.wrongly == []
    assert found.planned + found.impossible + found.refused == 20
    assert found.states > 20
    assert kind.refusable or not found.refused


def test_the_section_has_a_row_for_each_kind_and_one_for_all() -> None:
    text = section(0.005)
    assert text.startswith("## ")
    assert all(f"| {name} | " in text for name in [*(kind.name for kind in KINDS), "all"])


def two_that_exist_once(version: str, needs: str) -> Declaration:
    return load(
        "pipeline: p\nartifacts:\n"
        f"  - {{kind: retrieval-index, name: a, version: '{version}', provides: {{c~a~b: '{version}'}}}}\n"
        f"  - {{kind: model-weights, name: b, version: '{version}', requires: {{c~a~b: '{needs}'}}}}\n"
        f"components:\n  a: {{artifact: a@{version}, in_place: true}}\n"
        f"  b: {{artifact: b@{version}, in_place: true, upstream: [a]}}\n"
    )


@pytest.mark.parametrize(("old", "possible"), [(">=1", True), ("1", False)])
def test_brute_force_finds_an_order_just_where_there_is_one(old: str, possible: bool) -> None:
    pair = Transition(two_that_exist_once("1", old), two_that_exist_once("2", "2"))
    assert an_order_is_safe(pair) == possible
    if possible:
        assert not make_plan(pair.declared, live_as_declared(pair.released)).empty
    else:
        with pytest.raises(NoSafeOrder):
            make_plan(pair.declared, live_as_declared(pair.released))


def test_what_changes_is_named() -> None:
    text = "pipeline: p\nartifacts: [{{kind: model-weights, name: m, version: '1'}}]\ncomponents:\n{}"
    one = load(text.format("  a: {artifact: m@1}\n  b: {artifact: m@1, upstream: [a]}\n"))
    other = load(text.format("  b: {artifact: m@1, timeout: 10m}\n  a: {artifact: m@1, upstream: [b]}\n"))
    third = load(text.format("  c: {artifact: m@1}\n"))
    assert set(changes_of(Transition(one, other))) == {"re-wired", "turned round", "timeout changed"}
    assert set(changes_of(Transition(one, third))) == {"renamed", "merged"}
    assert set(changes_of(Transition(third, one))) == {"renamed", "split"}
