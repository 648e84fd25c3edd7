"""A channel that is new beside a default channel that serves: its requests never reach what that track goes to."""

from __future__ import annotations

import pytest

from rollcast.planner.base.errors import NoSafeOrder
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.safety.invariants import violations
from tests.planner.every_state import Oracle


def declared(version: str, regions: str, channel: str = "", gateway: str = "") -> Declaration:
    """A model that runs in some regions; `channel` adds a track for medical requests that must stay in eu."""
    text = (
        "pipeline: p\nartifacts:\n"
        "  - {kind: model-weights, name: m, version: '1'}\n  - {kind: model-weights, name: m, version: '2'}\n"
        "  - {kind: safety-policy, name: g, version: '1'}\n  - {kind: safety-policy, name: g, version: '2'}\n"
        "environments: {prod: {regions: {eu: {}, us: {}}}}\nrollout: {percent: [10, 100]}\n"
        f"components:\n  m: {{artifact: m@{version}, regions: {regions}}}\n"
    )
    if gateway:
        text += f"  g: {{artifact: g@{gateway}, in_place: true, regions: [eu], independent_of: [m], upstream: [m]}}\n"
    if channel:
        text += (
            "channels:\n  medical: {route: {regulatory_domain: medical}, allowed_regions: [eu], "
            f"components: {{m: {{{channel}}}}}}}\n"
        )
    return load(text)


def plan_of(before: Declaration, after: Declaration) -> Plan:
    plan = make_plan(after, live_as_declared(before))
    assert Oracle(plan).run() == set()
    return plan


def test_a_new_channel_begins_on_what_its_requests_reach_before_the_default_one_moves() -> None:
    plan = plan_of(declared("1", "[eu]"), declared("2", "[us]", "artifact: m@2, regions: [eu]"))
    titles = [m.title for m in plan.milestones]
    assert titles[0] == "begin medical: on what serves its requests today"
    (today,) = plan.start["default"]
    (share,) = plan.milestones[0].serving["medical"]
    assert (share.release, share.percent) == (today.release, 100.0)
    assert plan.from_release["medical"] == today.release
    assert [t for t in titles if "medical: m" in t] == [
        "10 % of everyone on medical: m", "100 % of everyone on medical: m"
    ]  # fmt: skip
    assert [(c.line, c.component, c.action) for c in plan.changes if c.component == "route"] == [
        ("medical", "route", "create")
    ]


def test_without_its_beginning_the_default_line_would_take_its_requests_out_of_their_region() -> None:
    plan = plan_of(declared("1", "[eu]"), declared("2", "[us]", "artifact: m@2, regions: [eu]"))
    late = plan.milestones[0].model_copy(update={"serving": {}})
    operations = tuple(o for o in plan.operations if o.milestone)
    hole = plan.model_copy(update={"milestones": (late, *plan.milestones[1:]), "operations": operations})
    assert any(v.invariant == "residency" and "which medical allows" in v.what for v in violations(hole))
    assert any(text.startswith("residency: requests of medical") for text in Oracle(hole).run())


def test_a_channel_that_may_not_reach_what_serves_today_is_released_first_and_at_once() -> None:
    plan = plan_of(declared("1", "[us]"), declared("2", "[us]", "artifact: m@2, regions: [eu]"))
    shifts = [m for m in plan.milestones if m.kind == "shift"]
    assert [(m.lines, m.percent) for m in shifts] == [
        (("medical",), 100.0), (("default",), 10.0), (("default",), 100.0)
    ]  # fmt: skip
    assert plan.from_release["medical"] is None


def test_a_channel_that_must_begin_first_and_needs_what_changes_in_place_is_refused_with_a_way_out() -> None:
    before = declared("1", "[us]", gateway="1")
    with pytest.raises(
        NoSafeOrder, match=r"for its requests may not reach m m@1 in us; but g exists once .* plan of its own first"
    ):
        make_plan(declared("2", "[us]", "artifact: m@2, regions: [eu]", "2"), live_as_declared(before))


def test_a_new_channel_that_changes_nothing_gets_a_line_of_its_own_and_keeps_it() -> None:
    before, after = declared("1", "[eu]"), declared("1", "[eu]", "artifact: m@1")
    plan = plan_of(before, after)
    assert [m.title for m in plan.milestones] == ["begin medical: on what serves its requests today"]
    assert plan.rollback_of(0) is not None
    assert make_plan(after, live_as_declared(after)).empty


def test_a_stricter_rule_for_a_line_that_serves_can_be_planned_and_taken_back() -> None:
    before = declared("1", "[eu]", "artifact: m@1, regions: [eu]")
    stricter = before.model_copy(update={"channels": {}, "allowed_regions": ("eu",)})
    plan = plan_of(declared("1", "[us]"), stricter)
    assert [m.percent for m in plan.milestones if m.kind == "shift"] == [10.0, 100.0]
    assert all(plan.rollback_of(m.index) for m in plan.milestones if not m.point_of_no_return)
