"""A freeze or the brake holds what leads forwards, and nothing else; a rollout goes on by itself when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.freezes import Freeze
from rollcast.planner.rollout.state_machine import Position, Reach
from rollcast.stacks.base.clock import Clock
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.payloads import Order
from rollcast.stacks.ledger.rollouts import ledger_of
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.rollout.driver import Driver
from rollcast.stacks.rollout.standstill import BRAKE, set_brake, standstill
from tests.stacks.test_orders import listening
from tests.stacks.test_stored import unpacked

BEGIN_S, END_S = 1_800_000_000.0, 1_800_003_600.0
FREEZE = Freeze.model_validate(
    {f"{key}": datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M")
     for key, value in (("from", BEGIN_S), ("until", END_S))}
)  # fmt: skip
NOW = [0.0]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    """One that stands at 50 %, with a freeze declared and the wall clock in `NOW`."""
    found = listening(tmp_path_factory.mktemp("standstill"))
    settings = found.context.plan.settings.model_copy(update={"freezes": (FREEZE,)})
    found.context = replace(found.context, plan=found.context.plan.model_copy(update={"settings": settings}))
    found.clock = Clock(wall=lambda: NOW[0])
    return found


steps = st.sampled_from(
    ["freeze", "thaw", "pull", "release", Order.PAUSE, Order.RESUME, Order.PROMOTE, "full", "reach", Order.ABORT]
)


def looks_round(driver: Driver) -> None:
    driver._looked_round_s = -1000.0
    driver._look_round()
    driver.checkpoint.position = driver.rollout.snapshot()
    driver.checkpoint = Checkpoint.of(driver.checkpoint.to_json())  # another process goes on


@given(many=st.lists(steps, max_size=12))
def test_what_holds_a_rollout_and_what_lets_it_go_on(driver: Driver, many: list[str | Order]) -> None:
    driver.checkpoint = Checkpoint(heard=driver.checkpoint.heard)
    driver.rollout.position = Position(milestone=1, cleared=True)
    last = driver.ledger.last(BRAKE)
    if last is not None and last.body["pulled"]:
        set_brake(driver.ledger, pulled=False, reason="begin")
    NOW[0] = BEGIN_S - 10
    frozen = pulled = by_hand = passes = False
    for step in many:
        match step:
            case "freeze" | "thaw":
                frozen = step == "freeze"
                NOW[0] = (BEGIN_S + END_S) / 2 if frozen else END_S + 1
            case "pull" | "release":
                pulled = step == "pull"
                set_brake(driver.ledger, pulled=pulled, reason="drill")
            case "reach":  # what a driver does where the next is a milestone
                passes = False
                driver.checkpoint.ordered_on = False
            case "full":
                driver.obey(Order.PROMOTE, full=True)
                by_hand = False
            case Order.PAUSE:
                driver.obey(Order.PAUSE)
                by_hand = True
            case Order.RESUME:
                driver.obey(Order.RESUME)
                by_hand = False
            case Order.PROMOTE:
                driver.obey(Order.PROMOTE)
                by_hand, passes = False, True
            case _:
                driver.obey(Order.ABORT)
        looks_round(driver)
        here, action = driver.rollout.position, driver.rollout.next(0.0)
        if here.rollback_from is not None:
            assert isinstance(action, Reach), "nothing holds the way back"
            assert action.rollback
            return
        holds = (frozen or pulled) and not (passes or driver.checkpoint.ordered_on or here.full)
        assert here.paused is (by_hand or holds), (step, driver.checkpoint.stands_still)
        assert bool(driver.checkpoint.stands_still) is (holds and not by_hand)
        assert isinstance(action, Reach) is not here.paused


def test_a_clock_that_jumps_over_a_freeze_was_never_in_it(driver: Driver) -> None:
    driver.rollout.position, driver.checkpoint = Position(milestone=1, cleared=True), Checkpoint()
    for now_s in (BEGIN_S - 1, END_S + 1, BEGIN_S - 1):
        NOW[0] = now_s
        looks_round(driver)
        assert not driver.rollout.position.paused


def test_a_brake_wants_a_reason_and_is_pulled_once(tmp_path: Path) -> None:
    ledger = ledger_of(Project.open(unpacked(tmp_path)))
    with pytest.raises(StackError, match="Say why: rollcast brake --reason TEXT"):
        set_brake(ledger, pulled=True, reason=" ")
    assert set_brake(ledger, pulled=False, reason="nothing is pulled") is None
    assert set_brake(ledger, pulled=True, reason="incident 4", by="ada", source="pager") is not None
    assert set_brake(ledger, pulled=True, reason="incident 5") is None
    found = standstill((FREEZE,), ledger, BEGIN_S)
    assert found is not None
    assert found.sentence.endswith(": incident 4, says ada (pager)")
    assert "rollcast brake --release" in found.refusal
    set_brake(ledger, pulled=False, reason="over")
    held = standstill((FREEZE,), ledger, BEGIN_S)
    assert held is not None
    assert held.sentence.startswith("frozen until 2027-01-15 09:00:00Z: from 2027-01-15 08:00")
    assert standstill((FREEZE,), ledger, END_S) is None
