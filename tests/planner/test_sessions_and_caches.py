"""What outlives a request: session state and cached results."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import Release, releases_of
from rollcast.planner.rollout.state_machine import arms_of
from rollcast.planner.routing.split import Router
from rollcast.planner.safety.invariants import violations
from rollcast.policies.strategies import Transition, plans, transitions


def agent(version: str, writes: str, reads: str | None) -> dict[str, object]:
    return {
        "kind": "model-weights", "name": "agent", "version": version, "provides": {"session-state": writes},
        "requires": {"session-state": reads} if reads else {},
    }  # fmt: skip


def declared(version: str, *artifacts: dict[str, object], **component: object) -> Declaration:
    return Declaration.model_validate(
        {
            "pipeline": "chat",
            "artifacts": artifacts,
            "components": {"agent": {"artifact": f"agent@{version}", **component}},
            "rollout": {"percent": [10, 100], "session": "20m", "keep_warm": 0},
        }
    )


def plan_between(old: dict[str, object], new: dict[str, object], **component: object) -> Plan:
    return make_plan(declared("2", old, new, **component), live_as_declared(declared("1", old, new, **component)))


def served_by(plan: Plan, milestone: int, session: str | None) -> str:
    serving = list(plan.servings())[milestone]
    attributes = {"session_release": session} if session else {}
    routed = Router("chat", plan.lines, serving, plan.audiences).route("somebody", attributes)
    assert routed is not None
    return routed.release


def test_sessions_that_the_new_version_can_not_read_finish_where_they_began() -> None:
    plan = plan_between(agent("1", "1", None), agent("2", "2", "2"))
    old, new = plan.from_release["default"], plan.to_release["default"]
    ends = next(m.index for m in plan.milestones if m.title.startswith("sessions have ended"))
    shifts = [m.index for m in plan.milestones if m.kind == "shift"]
    assert [served_by(plan, index, old) for index in shifts if index < ends] == [old, old]
    assert served_by(plan, ends - 1, None) == new
    assert served_by(plan, ends, old) == new
    (wait,) = [o for o in plan.operations_of(ends) if o.kind == "drain"]
    assert wait.wait_s == 20 * 60
    assert list(violations(plan)) == []


def test_sessions_that_stay_are_in_neither_arm_of_the_comparison() -> None:
    plan = plan_between(agent("1", "1", None), agent("2", "2", "2"))
    first = next(m for m in plan.milestones if m.percent == 10)
    arms = arms_of(plan, first.index)
    assert arms is not None
    assert arms.audience == "everyone"
    assert (arms.candidate, arms.baseline) == (plan.to_release["default"], plan.from_release["default"])


def test_state_that_the_new_version_reads_needs_no_waiting() -> None:
    plan = plan_between(agent("1", "1", None), agent("2", "1", ">=1,<3"))
    assert not any("sessions" in m.title for m in plan.milestones)
    assert plan.audiences == {}


def test_what_a_rollback_would_lose_is_said_before_and_in_the_way_back() -> None:
    plan = plan_between(agent("1", "1", None), agent("2", "2", ">=1,<3"))
    assert any(
        "After a rollback: agent agent@2 wrote session state 2, which agent@1 can't read" in n for n in plan.notes
    )
    shifted = [way for way in plan.rollback if plan.milestones[way.from_milestone].kind == "shift"]
    assert all(way.loses for way in shifted)
    assert not plan.rollback[0].loses, "nothing is lost while nothing was served"


def test_an_in_place_change_says_that_sessions_lose_their_state() -> None:
    plan = plan_between(agent("1", "1", None), agent("2", "2", "2"), in_place=True)
    assert any("sessions that are under way lose what they remembered" in note for note in plan.notes)


# ---- caches -------------------------------------------------------------------------------------


def cached(release: Release) -> dict[str, str]:
    return {name: part["cache"] for name, part in release.variant("default")["components"].items()}


@given(plans(max_slots=4))
def test_a_cached_result_is_never_served_by_other_versions(plan: Plan) -> None:
    for one, two in combinations(plan.releases.values(), 2):
        for slot in set(one.slots) & set(two.slots):
            same_key = cached(one)[slot] == cached(two)[slot]
            made_by = [(r.pipeline, made_of(r, slot), r.flags) for r in (one, two)]
            assert same_key == (made_by[0] == made_by[1])


def made_of(release: Release, slot: str) -> dict[str, str]:
    """Everything that can have made a result of a slot, by slot."""
    found, pending = {}, [slot]
    while pending:
        name = pending.pop()
        if name in release.slots and name not in found:
            found[name] = release.slots[name].identity
            pending.extend(release.slots[name].upstream)
    return found


# ---- what is declared later ----------------------------------------------------------------------


def silent(version: str) -> dict[str, object]:
    return {"kind": "model-weights", "name": "agent", "version": version}


def applied(plan: Plan) -> LiveState:
    """What a plan leaves, read back."""
    state = plan.state_at(len(plan.milestones))
    serving = {track: shares for track, shares in state.serving.items() if shares}
    used = {share.release for shares in serving.values() for share in shares} | {r for r, _ in state.instances.values()}
    releases = {name: release for name, release in plan.releases.items() if name in used}
    return LiveState(serving=serving, releases=releases, instances=state.instances, lines=plan.lines)


def test_a_contract_that_is_added_to_what_serves_is_a_change_and_the_next_plan_honours_it() -> None:
    before = live_as_declared(declared("1", silent("1")))
    plan = make_plan(declared("1", agent("1", "1", None)), before)
    (change,) = plan.changes
    assert (change.component, change.action) == ("agent", "update")
    assert change.reason == "contracts: provides session-state unsaid -> 1"
    assert [m.title for m in plan.milestones] == ["contracts of what serves: default"]
    assert [o.kind for o in plan.operations] == ["shift"]
    assert list(violations(plan)) == []
    live = applied(plan)
    assert make_plan(declared("1", agent("1", "1", None)), live).empty
    following = make_plan(declared("2", agent("2", "2", "2")), live)
    assert any(milestone.title.startswith("sessions have ended") for milestone in following.milestones)


def test_a_contract_that_is_declared_of_what_serves_together_with_its_successor_is_honoured() -> None:
    plan = make_plan(
        declared("2", agent("1", "1", None), agent("2", "2", "2")), live_as_declared(declared("1", silent("1")))
    )
    assert any(milestone.title.startswith("sessions have ended") for milestone in plan.milestones)


def test_a_contract_that_what_serves_does_not_have_is_said_not_to_hold_yet() -> None:
    plan = make_plan(declared("2", agent("2", "2", "2")), live_as_declared(declared("1", silent("1"))))
    assert not any(milestone.title.startswith("sessions have ended") for milestone in plan.milestones)
    assert any("agent@2 declares session-state, and agent@1, which serves, does not" in note for note in plan.notes)


@given(transitions(max_slots=3), st.sampled_from(("session-state", "x")))
def test_whatever_is_declared_of_what_serves_is_learned_by_one_plan(pair: Transition, contract: str) -> None:
    """A contract is added to every artifact: one plan says it for each that serves, and then there is nothing to do."""
    now = pair.declared
    artifacts = tuple(one.model_copy(update={"provides": {**one.provides, contract: "9"}}) for one in now.artifacts)
    after = now.model_copy(update={"artifacts": artifacts})
    plan = make_plan(after, live_as_declared(now))
    said, unsaid = releases_of(after), releases_of(now)
    differ = {
        (track, slot)
        for track, release in said.items()
        for slot, version in release.slots.items()
        if version.provides != unsaid[track].slots[slot].provides
    }
    assert {(change.line, change.component) for change in plan.changes} == differ
    assert bool(plan.milestones) == bool(differ)
    assert make_plan(after, applied(plan)).empty
