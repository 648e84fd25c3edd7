"""The order in which channels are tried survives every store: the first route that matches takes a request."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import Track, canonical
from rollcast.planner.routing.split import Router
from rollcast.stacks.flags.definitions import compiled, lines_document
from rollcast.stacks.state.live import as_tried

ROUTES = {"a": "{region: eu}", "b": "{segment: internal}", "c": "{tier: paid}", "d": "{region: [us, asia]}"}
REQUESTS = [
    {"region": region, "segment": segment, "tier": tier}
    for region in ("eu", "us", "")
    for segment in ("internal", "")
    for tier in ("paid", "")
]


def _plan(order: list[str]) -> Plan:
    text = "pipeline: p\nartifacts: [{kind: model-weights, name: m, version: '1'}]\ncomponents: {m: {artifact: m@1}}\n"
    for place, name in enumerate(order):
        text += "" if place else "channels:\n"
        text += f"  {name}: {{route: {ROUTES[name]}, components: {{m: {{parameters: {{of: {name}}}}}}}}}\n"
    declaration = load(text)
    return make_plan(declaration, live_as_declared(declaration))


def _taken(plan: Plan, tracks: dict[str, Track]) -> list[str]:
    router = Router("p", tracks, plan.start, {})
    return [routed.line for request in REQUESTS if (routed := router.route("u", request))]


def _stored(value: Any) -> Any:
    """As the ledger and the definition files hold it: sorted by name."""
    return json.loads(canonical(value))


some_order = st.permutations("abcd").flatmap(lambda names: st.integers(0, 4).map(lambda few: names[:few]))


@given(some_order)
def test_a_plan_and_a_definition_that_were_stored_route_as_before(order: list[str]) -> None:
    plan = _plan(order)
    again = Plan.model_validate(_stored(plan.model_dump(mode="json", by_alias=True)))
    assert _taken(plan, again.lines) == _taken(plan, plan.lines)
    kept = _stored(lines_document("p", plan.lines, {}))["lines"]
    assert _taken(plan, {key: Track.model_validate(track) for key, track in kept.items()}) == _taken(plan, plan.lines)


@given(some_order)
def test_lines_that_were_stored_without_their_places_are_as_their_flag_has_them(order: list[str]) -> None:
    plan = _plan(order)
    flag, _ = compiled("p", plan.lines, plan.start, plan.releases, {})
    kept = _stored(lines_document("p", plan.lines, {}))["lines"]
    bare = {key: Track.model_validate({**track, "place": 0}) for key, track in kept.items()}
    assert _taken(plan, as_tried(_stored(flag), bare)) == _taken(plan, plan.lines)
