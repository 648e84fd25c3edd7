"""A channel that is no longer declared: its requests move by stages to what its default one serves, then it ends."""

from __future__ import annotations

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from rollcast.planner.base.errors import NoSafeOrder
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import default_of
from rollcast.policies.strategies import Transition, rewirings
from tests.planner.every_state import Oracle

VERSIONS = ("1", "2", "3")


def declared(default: str, channels: dict[str, str], more: str = "") -> Declaration:
    text = "pipeline: p\nartifacts:\n"
    text += "".join(f"  - {{kind: model-weights, name: m, version: '{n}'}}\n" for n in VERSIONS)
    text += "rollout: {percent: [10, 100], gates: [{metric: violation_rate, margin: 0.05}]}\n" + more
    text += f"components:\n  m: {{artifact: m@{default}{', regions: [us]' if more else ''}}}\n"
    if channels:
        text += "channels:\n"
    for name, version in channels.items():
        where = ", regions: [eu]}}, allowed_regions: [eu]}\n" if more else "}}}\n"
        text += f"  {name}: {{route: {{segment: {name}}}, components: {{m: {{artifact: m@{version}{where}"
    return load(text)


def plan_of(before: Declaration, after: Declaration) -> Plan:
    plan = make_plan(after, live_as_declared(before))
    assert Oracle(plan).run() == set()
    return plan


def test_its_users_move_by_stages_and_gates_and_changes_say_so() -> None:
    plan = plan_of(declared("2", {"careful": "1"}), declared("2", {}))
    assert [(c.line, c.component, c.action) for c in plan.changes] == [
        ("careful", "route", "delete"),
        ("careful", "m", "replace"),
    ]
    moved = [(m.percent, m.gates) for m in plan.milestones if m.kind == "shift" and m.step == "m"]
    assert moved == [(10.0, ("violation_rate",)), (100.0, ("violation_rate",))]
    assert [m.kind for m in plan.milestones][-2:] == ["shift", "contract"]


def test_what_the_removed_channel_alone_runs_is_not_retired_and_made_again() -> None:
    plan = plan_of(declared("1", {"careful": "2"}), declared("2", {}))
    assert [o.artifact for o in plan.operations if o.kind == "retire"] == ["m@1"]
    assert not [o for o in plan.operations if o.kind == "provision"]


def test_a_channel_whose_region_its_default_line_leaves_is_not_removed() -> None:
    more = "environments: {prod: {regions: {eu: {}, us: {}}}}\n"
    with pytest.raises(NoSafeOrder, match=r"careful.*no longer declared.*eu.*runs in us"):
        plan_of(declared("2", {"careful": "1"}, more), declared("2", {}, more))


def test_requests_that_another_channel_takes_are_said_and_move_by_its_stages() -> None:
    before = load(TWO.format("  a: {route: {region: eu}, components: {m: {artifact: m@1}}}\n"))
    plan = plan_of(before, load(TWO.format("")))
    (one,) = [reroute for reroute in plan.reroutes if reroute.target == "b"]
    assert (one.source, one.line, one.moves) == ("a", "a-to-b", "by stages")
    assert one.where == {"all": [{"region": "eu"}, {"segment": "b"}]}
    assert any(
        c.line == "a-to-b" and "requests of a that match" in c.reason and "go to b" in c.reason for c in plan.changes
    )
    assert [m.percent for m in plan.milestones if m.lines == ("a-to-b",) and m.step == "m"] == [10.0, 100.0]


TWO = (
    "pipeline: p\nartifacts:\n  - {{kind: model-weights, name: m, version: '1'}}\n"
    "  - {{kind: model-weights, name: m, version: '2'}}\nrollout: {{percent: [10, 100]}}\n"
    "components:\n  m: {{artifact: m@1}}\nchannels:\n{}"
    "  b: {{route: {{segment: b}}, components: {{m: {{artifact: m@2}}}}}}\n"
)
track = st.sampled_from(VERSIONS)


@given(track, track, st.dictionaries(st.sampled_from("abc"), track), st.dictionaries(st.sampled_from("abc"), track))
def test_nobody_changes_release_but_by_a_stage(
    old: str, new: str, before: dict[str, str], after: dict[str, str]
) -> None:
    """What serves a request of each segment, from one milestone to the next: only a stage of a step changes it."""
    plan = plan_of(declared(old, before), declared(new, after))
    reached = {name: _met(plan.start, name) for name in {*before, *after, "default"}}
    for milestone, serving in zip(plan.milestones, plan.servings(), strict=True):
        for name, was in reached.items():
            now = _met(serving, name)
            assert now == was or (milestone.percent is not None and milestone.gates)
            reached[name] = now
    assert {track for track in plan.start if track not in plan.to_release} <= {c.line for c in plan.changes}


def _met(serving: dict, name: str) -> frozenset[tuple[str, float]]:  # type: ignore[type-arg]
    shares = serving.get(name) or serving[default_of(name)]
    return frozenset((share.release, share.percent) for share in shares)


BOTH = (
    "pipeline: p\nartifacts:\n  - {{kind: model-weights, name: m, version: '1'}}\nallowed_regions: []\n"
    "environments: {{prod: {{default: true, regions: {{eu: {{}}, us: {{}}}}}}}}\n"
    "components:\n  m: {{artifact: m@1, regions: [{}]}}\n{}"
)
TWO_CHANNELS = (
    "channels:\n  careful: {route: {segment: careful}, components: {m: {regions: [eu]}}, allowed_regions: [eu]}\n"
    "  other: {route: {family: other}}\n"
)


@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_channels_that_end_or_come_back_none_reaches_what_the_other_may_run_elsewhere(swapped: bool) -> None:
    """Requests of `careful` may match the route of `other`: meanwhile they would go there, to what also runs in us."""
    wide, narrow = load(BOTH.format("eu, us", TWO_CHANNELS)), load(BOTH.format("eu", ""))
    plan = plan_of(*((narrow, wide) if swapped else (wide, narrow)))
    assert len(plan.milestones) > 1


@given(rewirings(max_slots=3, readable=True, channels=True, residency=True))
def test_channels_that_come_and_go_among_other_changes_have_a_plan_unless_a_region_forbids_it(pair: Transition) -> None:
    try:
        plan = make_plan(pair.declared, live_as_declared(pair.released))
    except NoSafeOrder as error:
        reason = str(error)
        event("refused")
    else:
        assert Oracle(plan).run() == set()
        return
    assert "no longer declared" in reason
