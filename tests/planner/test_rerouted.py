"""Whoever changes release is a change: a route, an order, a channel that ends or begins moves nobody without a word."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.base.audiences import matches, parse
from rollcast.planner.base.errors import DeclarationError
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import tracks_of
from rollcast.planner.routing.split import Router
from tests.planner.every_state import Oracle

VERSIONS = ("1", "2", "3")
ROUTES = (
    {"region": ["eu"]}, {"region": ["eu", "us"]}, {"segment": ["beta"]}, {"region": ["us"], "segment": ["beta"]},
    {"not": {"region": ["eu"]}}, {"tokens": {"at_least": 100}}, {"any": [{"region": ["us"]}, {"segment": ["beta"]}]},
)  # fmt: skip
REQUESTS = [
    {"region": region, "segment": segment, "tokens": tokens}
    for region in ("eu", "us", "asia") for segment in ("beta", "none") for tokens in (1, 100)
]  # fmt: skip
Channels = dict[str, tuple[dict[str, Any], str]]


def declared(default: str, channels: Channels) -> Declaration:
    """One model, and channels in this order, each with its route and its version."""
    return Declaration.model_validate(
        {
            "pipeline": "p",
            "artifacts": [{"kind": "model-weights", "name": "m", "version": version} for version in VERSIONS],
            "components": {"m": {"artifact": f"m@{default}"}},
            "channels": {
                name: {"route": route, "components": {"m": {"artifact": f"m@{version}"}}}
                for name, (route, version) in channels.items()
            },
            "rollout": {"percent": [10, 100], "gates": [{"metric": "violation_rate", "margin": 0.05}]},
        }
    )


def plan_of(before: Declaration, after: Declaration) -> Plan:
    plan = make_plan(after, live_as_declared(before))
    assert Oracle(plan).run() == set()
    return plan


versions = st.sampled_from(VERSIONS)
channels = st.lists(
    st.tuples(st.sampled_from("abc"), st.tuples(st.sampled_from(ROUTES), versions)), unique_by=lambda one: one[0]
).map(dict)


@given(versions, versions, channels, channels)
def test_nobody_changes_release_but_by_a_stage_that_changes_say(
    old: str, new: str, before: Channels, after: Channels
) -> None:
    first, then = declared(old, before), declared(new, after)
    plan = plan_of(first, then)
    start = Router("p", tracks_of(first), plan.start, {})
    steps = [Router("p", plan.lines, serving, plan.audiences) for serving in plan.servings()]
    last = Router("p", tracks_of(then), list(plan.servings())[-1] if plan.milestones else plan.start, plan.audiences)
    for attributes in REQUESTS:
        now = [start.route(str(key), attributes) for key in range(3)]
        begun = now[0]
        for milestone, router in zip(plan.milestones, steps, strict=True):
            reached = [router.route(str(key), attributes) for key in range(3)]
            for was, found in zip(now, reached, strict=True):
                assert was is not None
                assert found is not None
                assert was.release == found.release or (milestone.percent is not None and milestone.gates)
            now = reached
        ended = last.route("0", attributes)
        assert begun is not None
        assert ended is not None
        assert ended.release == plan.to_release[ended.line]
        if begun.line != ended.line:
            assert _said(plan, attributes, begun.line, ended.line)
        elif begun.release != ended.release:
            assert any(change.line == ended.line for change in plan.changes)


def _said(plan: Plan, attributes: dict[str, Any], source: str, target: str) -> bool:
    """Whether exactly one re-route takes these requests from track to track, and the changes name both."""
    (one,) = [reroute for reroute in plan.reroutes if matches(parse(reroute.where), attributes)]
    assert (one.source, one.target) == (source, target)
    return any(
        change.component == "route"
        and (
            change.line in (one.line, source) or (change.from_, change.to) == (source, target) or change.line == target
        )
        for change in plan.changes
    )


EU, BETA = ROUTES[0], ROUTES[2]


def test_channels_in_another_order_are_a_change_and_who_matches_both_moves_by_stages() -> None:
    before = declared("1", {"a": (EU, "2"), "b": (BETA, "3")})
    plan = plan_of(before, declared("1", {"b": (BETA, "3"), "a": (EU, "2")}))
    assert [(c.line, c.component, c.action) for c in plan.changes] == [
        ("b", "route", "update"), ("a-to-b", "route", "update"), ("a-to-b", "m", "replace")
    ]  # fmt: skip
    assert plan.changes[0].reason.startswith("b is tried before a")
    assert [m.title for m in plan.milestones][:1] == ["routing rules: b, a-to-b"]
    assert [m.title for m in plan.milestones][-1] == "remove a-to-b"


def test_an_order_that_nobody_can_notice_is_no_change() -> None:
    us = {"region": ["us"]}
    before = declared("1", {"a": (EU, "2"), "b": (us, "3")})
    assert plan_of(before, declared("1", {"b": (us, "3"), "a": (EU, "2")})).empty


def test_a_predicate_written_otherwise_moves_nobody() -> None:
    before = declared("1", {"a": ({"region": "eu"}, "2")})
    plan = plan_of(before, declared("1", {"a": ({"any": [{"region": "eu"}]}, "2")}))
    assert plan.reroutes == ()
    assert [m.step for m in plan.milestones] == ["routing"]


def test_what_led_requests_across_goes_on_where_a_rollback_left_it() -> None:
    before, after = declared("1", {}), declared("1", {"a": (EU, "2")})
    wider = declared("1", {"a": (ROUTES[1], "2")})
    plan = plan_of(after, wider)
    live = live_as_declared(after)
    state = plan.state_at(0)
    left = live.model_copy(update={"serving": {k: s for k, s in state.serving.items() if s}, "lines": plan.lines})
    again = make_plan(wider, left)
    assert [m.percent for m in again.milestones if m.step == "m"] == [10.0, 100.0]
    back = make_plan(after, left)
    assert {m.step for m in back.milestones} == {"routing", "remove"}
    assert make_plan(before, live_as_declared(before)).empty


def test_a_shadowed_channel_is_refused_before_any_of_this() -> None:
    with pytest.raises(DeclarationError, match="shadowed"):
        load(
            "pipeline: p\nartifacts: [{kind: model-weights, name: m, version: '1'}]\ncomponents: {m: {artifact: m@1}}\n"
            "channels: {a: {route: {region: eu}}, b: {route: {region: eu, segment: beta}}}\n"
        )
