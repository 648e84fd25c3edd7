"""A milestone that must be confirmed is not begun before it is, whoever promotes; harm still leads back meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rollcast.planner.base.errors import DeclarationError
from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan, make_removal
from rollcast.planner.rollout.state_machine import (
    AwaitConfirmation,
    Finished,
    Hold,
    Observe,
    Position,
    Reach,
    Rollout,
    arms_of,
)
from rollcast.plugins.settings import settings_of
from rollcast.policies.model_based.fault_scenarios import _promotion_outlives_a_crash
from rollcast.policies.strategies import plans
from tests.planner.test_rag_search_plan import example_plan
from tests.planner.test_rollout import outcomes

LEAD = Confirmation(percent=1, by=("ana", "bo"))
TEXT = """\
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: prompt-template, name: p, version: "1"}
  - {kind: prompt-template, name: p, version: "2"}
audiences:
  internal: {segment: internal}
components:
  answer: {artifact: p@1}
rollout:
  strategy: staged
  stages:
    - {audience: internal, percent: [50, 100]}
    - {audience: everyone, percent: [5, 30, 100]}
environments:
  prod: {development: true, confirm: CONFIRM}
"""


def planned(confirm: str, text: str = TEXT) -> Plan:
    before = load(text.replace("CONFIRM", "[]"), settings_of=settings_of)
    after = load(text.replace("CONFIRM", confirm).replace("{artifact: p@1", "{artifact: p@2"), settings_of=settings_of)
    return make_plan(after, live_as_declared(before))


def waits(plan: Plan) -> list[tuple[str, str]]:
    return [(m.title.partition(":")[0], one.who) for m in plan.milestones for one in m.confirm]


@pytest.mark.parametrize(
    ("confirm", "where"),
    [
        ("[{percent: 1, by: [ana]}]", [("5 % of everyone", "ana")]),
        ("[{percent: 25, by: [ana, bo], approvals: 2}]", [("30 % of everyone", "ana and bo")]),
        ("[{percent: 100, by: [ana, bo, cy], approvals: 2}]", [("100 % of everyone", "2 of ana, bo and cy")]),
        ("[{audience: internal, percent: 60, by: [ana, bo]}]", [("100 % of internal", "ana or bo")]),
        (
            "[{percent: 5, by: [ana]}, {percent: 5, url: 'https://ops.example/ask'}, {percent: 30, command: [true]}]",
            [("5 % of everyone", "ana"), ("5 % of everyone", "https://ops.example/…"), ("30 % of everyone", "'true'")],
        ),
    ],
)
def test_the_first_milestone_that_gives_as_much_waits(confirm: str, where: list[tuple[str, str]]) -> None:
    confirm = confirm.replace("[true]", "['true']")
    plan = planned(confirm)
    assert waits(plan) == where
    assert not any(m.confirm for way in plan.rollback for m in way.milestones), "nothing holds the way back"
    assert Plan.from_json(plan.to_json()).digest == plan.digest
    assert plan.digest != planned("[]").digest, "who approved one plan has not approved the other"


def test_a_rollout_may_say_it_for_every_environment_and_what_overwrites_or_stops_waits_before_it_does() -> None:
    text = TEXT.replace("strategy: staged\n", "strategy: staged\n  confirm: [{percent: 10, by: [cy]}]\n")
    assert waits(planned("[]", text)) == [("30 % of everyone", "cy")]
    in_place = text.replace("{artifact: p@1}", "{artifact: p@1, in_place: true}")
    assert waits(planned("[]", in_place)) == [("in place", "cy")]


def test_taking_down_asks_nobody() -> None:
    declared = load(TEXT.replace("CONFIRM", "[{percent: 1, by: [ana]}]"), settings_of=settings_of)
    assert waits(make_removal(declared, live_as_declared(declared))) == []


@pytest.mark.parametrize(
    ("confirm", "why"),
    [
        ("[{percent: 5}]", "name one"),
        ("[{percent: 5, by: [ana], command: [x]}]", "name one"),
        ("[{percent: 5, by: [ana, ana], approvals: 2}]", "2 approvals are needed, and 'by' names 1"),
        ("[{percent: 5, by: [ana], secret: '${KEY}'}]", "there is none"),
        ("[{percent: 5, url: 'https://ops.example', secret: plain-text}]", "secret"),
        ("[{percent: 0, by: [ana]}]", "greater than 0"),
        ("[{audience: intern, percent: 5, by: [ana]}]", "there is no audience 'intern'"),
        ("[{audience: internal, percent: 5, by: [ana]}]", "no stage moves audience 'internal'"),
        ("[{percent: 60, by: [ana]}]", "no stage gives 'everyone' 60 percent"),
    ],
)
def test_what_could_never_be_confirmed_is_refused(confirm: str, why: str) -> None:
    text = TEXT.replace("audience: internal, percent: [50, 100]", "audience: everyone, percent: [5, 30]")
    text = text.replace("    - {audience: everyone, percent: [5, 30, 100]}\n", "") if "60" in confirm else text
    text = text.replace("    - {audience: everyone, percent: [5, 30]}\n", "") if "'internal'" in why else text
    with pytest.raises((DeclarationError, ValidationError)) as caught:
        load(text.replace("CONFIRM", confirm), settings_of=settings_of)
    assert why in str(caught.value)


@given(plans(max_slots=3), st.data())
def test_a_rollout_begins_no_milestone_that_is_not_confirmed(plan: Plan, data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(range(len(plan.milestones))))) if plan.milestones else set()
    milestones = tuple(m.model_copy(update={"confirm": (LEAD,)}) if m.index in chosen else m for m in plan.milestones)
    plan = plan.model_copy(update={"milestones": milestones})
    rollout, confirmed, now_s = Rollout(plan), set[int](), 0.0
    full = data.draw(st.booleans())
    for _ in range(4 * len(plan.milestones) + 4):
        action = rollout.next(now_s)
        match action:
            case Finished():
                break
            case AwaitConfirmation():
                index = action.milestone.index
                rollout.promote(full)
                assert rollout.next(now_s) == AwaitConfirmation(rollout.plan.milestones[index], action.until_s)
                rollout.pause()
                assert isinstance(rollout.next(now_s), Hold | Observe)
                rollout.resume()
                rollout.confirm()
                confirmed.add(index)
            case Reach():
                assert action.milestone.index in confirmed or action.milestone.index not in chosen
                rollout.reached(now_s)
            case _:
                rollout.promote(full)
        now_s += 1.0
        kept = Position.model_validate_json(rollout.snapshot().model_dump_json())
        resumed = Rollout(plan, kept)
        assert type(resumed.next(now_s)) is type(rollout.next(now_s))
    assert confirmed == chosen
    assert list(_promotion_outlives_a_crash(plan)) == []


@pytest.mark.parametrize("bad", [False, True])
def test_the_gates_are_watched_while_a_confirmation_is_awaited(bad: bool) -> None:
    plan = example_plan()
    compared = {m.index: arms_of(plan, m.index) for m in plan.milestones if m.gates}
    stage, split = next((plan.milestones[i], a.split) for i, a in compared.items() if a is not None and a.baseline)
    milestones = [m.model_copy(update={"confirm": (LEAD,)}) for m in plan.milestones]
    plan = plan.model_copy(update={"milestones": tuple(milestones)})
    rollout = Rollout(plan, Position(milestone=stage.index - 1, confirmed=stage.index))
    rollout.reached(0.0)

    def seen(at_s: float, harm: bool) -> None:
        found = outcomes(at_s - 1, int(at_s), harm, n=2000, split=split)
        found.values["violation"] = np.zeros(len(found))
        rollout.observe(found)
        rollout.look(at_s)

    now_s = stage.bake_min_s + 1
    seen(now_s, False)
    for _ in range(10):  # whoever confirms is asleep
        action = rollout.next(now_s)
        if not isinstance(action, AwaitConfirmation):
            break
        assert action.until_s is not None
        now_s = action.until_s + 30
        seen(now_s, bad)
    assert (rollout.position.rollback_from == stage.index) is bad
    if not bad:
        assert isinstance(rollout.next(now_s), AwaitConfirmation)
        rollout.confirm()
        assert isinstance(rollout.next(now_s), Reach)
