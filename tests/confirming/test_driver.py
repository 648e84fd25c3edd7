"""A driver that waits for what must be confirmed goes on watching, hears denials, and takes nobody else's word."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.planner.loading.loader import load
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.rollout.state_machine import AwaitConfirmation, Position, Reach
from rollcast.plugins.settings import settings_of
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.confirming.answers import answer, confirmations_of
from rollcast.stacks.ledger.payloads import Order, OrderedBody
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.driver import Driver, Exit
from rollcast.stacks.rollout.standstill import set_brake
from rollcast.stacks.rollout.steering import without_gates
from tests.notifying.receiving import Webhook, webhook
from tests.planner.test_confirmations import TEXT
from tests.planner.test_rollout import outcomes
from tests.stacks.test_orders import SAID, listening


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    return listening(tmp_path_factory.mktemp("confirming"))


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


ROLLOUTS = iter(range(1000))


def waiting(stored: Driver, **declared: Any) -> Driver:
    """A driver at 50 %, with all that its stage must prove, whose next milestone must be confirmed."""
    one = Confirmation.model_validate({"percent": 100, **declared})
    milestones = [
        m.model_copy(update={"confirm": (one,) if m.index == 2 else ()}) for m in stored.context.plan.milestones
    ]
    plan = stored.context.plan.model_copy(update={"milestones": tuple(milestones)})
    context = replace(stored.context, plan=plan, id=f"ro-{next(ROLLOUTS)}", plan_digest="sha256:of-this-plan")
    SAID.clear()
    stored.ledger.save(stored.lease, context.id, stored.checkpoint.to_json())
    driver = Driver(context, stored.ledger, stored.lease, stored.steps, stored.observer._source, SAID.append)
    driver.rollout.position = Position(milestone=0, confirmed=1)
    driver.rollout.reached(driver.clock.now_s())
    driver.rollout._move(cleared=True)
    assert isinstance(driver.rollout.next(0.0), AwaitConfirmation)
    return driver


def rounds(driver: Driver, until: Any, most_s: float = 10.0) -> None:
    until_s = time.monotonic() + most_s
    while not until() and time.monotonic() < until_s:
        driver._orders()
        driver._looked_round_s = -1000.0
        driver._look_round()
        action = driver.rollout.next(driver.clock.now_s())
        if isinstance(action, AwaitConfirmation):
            driver._await_confirmation(action, look=False)
    assert until(), [event.to_json() for event in SAID]


def is_reaching(driver: Driver) -> bool:
    return isinstance(driver.rollout.next(driver.clock.now_s()), Reach)


def texts() -> list[str]:
    return [str(event.to_json().get("text") or event.to_json().get("reason")) for event in SAID]


def as_person(monkeypatch: pytest.MonkeyPatch, driver: Driver, name: str, yes: bool = True, why: str = "") -> bool:
    monkeypatch.setenv("LOGNAME", name)
    milestone = driver.rollout.plan.milestones[2]
    return answer(driver.ledger, driver.context, milestone, confirmed=yes, reason=why)[1]


def test_people_confirm_each_for_one_and_nobody_else_may(stored: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = waiting(stored, by=["ana", "bo"], approvals=2)
    with pytest.raises(StackError, match=r"'eve' may not confirm milestone 2, .*names ana and bo"):
        as_person(monkeypatch, driver, "eve")
    assert driver.run(once=True).exit is Exit.HELD
    assert as_person(monkeypatch, driver, "ana")
    before = len(driver.ledger.records())
    assert not as_person(monkeypatch, driver, "ana"), "twice is once"
    assert len(driver.ledger.records()) == before
    ended = driver.run(once=True)
    assert (ended.exit, "awaits the confirmation of bo beside ana" in ended.reason) == (Exit.HELD, True)
    assert as_person(monkeypatch, driver, "bo")
    rounds(driver, lambda: is_reaching(driver), 2)


def test_an_answer_to_another_plan_is_none(stored: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = waiting(stored, by=["ana"])
    as_person(monkeypatch, driver, "ana")
    records, milestone = driver.ledger.records(-1, driver.context.id), driver.rollout.plan.milestones[2]
    assert confirmations_of(records, milestone, driver.context.plan_digest).given
    assert not confirmations_of(records, milestone, "sha256:of-another-plan").given
    unnamed = milestone.model_copy(update={"confirm": (Confirmation(percent=100, by=("bo",)),)})
    assert not confirmations_of(records, unnamed, driver.context.plan_digest).given


def test_one_denial_holds_until_that_person_confirms(stored: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = waiting(stored, by=["ana", "bo"])
    as_person(monkeypatch, driver, "bo", False, "the index is old")
    as_person(monkeypatch, driver, "ana")
    ended = driver.run(once=True)
    assert (ended.exit, "denied by bo: the index is old" in ended.reason) == (Exit.HELD, True)
    as_person(monkeypatch, driver, "bo")
    rounds(driver, lambda: is_reaching(driver), 2)


@pytest.mark.parametrize("braked", [False, True])
def test_a_denial_rolls_back_where_that_is_declared_and_no_brake_holds_it(
    stored: Driver, monkeypatch: pytest.MonkeyPatch, braked: bool
) -> None:
    driver = waiting(stored, by=["ana"], on_denied="rollback")
    set_brake(driver.ledger, pulled=braked, reason="incident")
    try:
        rounds(driver, lambda: bool(driver.checkpoint.told_hold))
        as_person(monkeypatch, driver, "ana", False, "not today")
        rounds(driver, lambda: driver.rollout.position.rollback_from == 1)
        assert driver.rollout.position.reason.endswith("is denied by ana: not today")
    finally:
        set_brake(driver.ledger, pulled=False, reason="over")


def test_nobody_promotes_past_it(stored: Driver) -> None:
    driver = waiting(stored, by=["ana"])
    for full in (False, True):
        driver.obey(Order.PROMOTE, full=full)
        assert not is_reaching(driver)
    assert any("confirms nothing" in text for text in texts())


def test_a_webhook_that_fails_is_asked_again_and_said(stored: Driver, hook: Webhook) -> None:
    driver = waiting(stored, url=hook.url, ask_every="50ms")
    answers = iter([503, 302, 200])
    hook.body = b'{"confirmed": true}'
    hook.answer = lambda delivery: next(answers)
    rounds(driver, lambda: is_reaching(driver))
    assert ["503" in text for text in texts() if "it answered" in text] == [True, False]
    assert [one.json["milestone"]["index"] for one in hook.tried] == [2, 2, 2]
    assert driver.checkpoint.unanswered == {}


def test_a_call_that_goes_as_far_as_it_can_waits_for_the_try_and_no_longer(stored: Driver, hook: Webhook) -> None:
    driver = waiting(stored, url=hook.url, timeout="300ms", ask_every="1h")
    hook.answer = lambda delivery: "hang"
    began_s = time.monotonic()
    ended = driver.run(once=True)
    assert (ended.exit, time.monotonic() - began_s < 5) == (Exit.HELD, True)
    assert any("did not answer within 0.3 s; the next try is in 3600 s" in text for text in texts())


def test_what_a_webhook_denies_is_asked_again_by_who_lets_it_go_on(stored: Driver, hook: Webhook) -> None:
    driver = waiting(stored, url=hook.url, ask_every="10ms")
    hook.answer, hook.body = lambda delivery: 200, b'{"confirmed": false, "reason": "change 7 is closed"}'
    rounds(driver, lambda: "change 7 is closed" in (driver.checkpoint.told_hold or ""))
    rounds(driver, lambda: True)
    assert len(hook.tried) == 1
    hook.body = b'{"confirmed": true}'
    driver.ledger.append("order", driver.context.id, OrderedBody(order=Order.RESUME).to_json())
    rounds(driver, lambda: is_reaching(driver))


def test_harm_leads_back_while_a_webhook_hangs(stored: Driver, hook: Webhook) -> None:
    driver = waiting(stored, url=hook.url, timeout="1h")
    hook.answer = lambda delivery: "hang"
    rounds(driver, lambda: bool(hook.tried))
    assert driver.rollout.gates is not None
    for seed in range(30):
        driver.rollout.observe(outcomes(driver.clock.now_s(), seed, True, n=2000))
    rounds(driver, lambda: driver.rollout.position.rollback_from == 1)
    assert hook.taken == []


def test_a_person_confirms_nothing_that_a_webhook_must(stored: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = waiting(stored, url="https://ops.example/x")
    with pytest.raises(StackError, match="No person is to confirm milestone 2"):
        as_person(monkeypatch, driver, "ana")


def test_it_goes_on_in_another_process(stored: Driver, tmp_path: Path) -> None:
    driver = waiting(stored, command=["python", "-c", "print('{\"confirmed\": true}')"])
    rounds(driver, lambda: is_reaching(driver))
    kept = driver.ledger.position(driver.context.id)
    other = Driver(driver.context, driver.ledger, driver.lease, driver.steps, driver.observer._source, SAID.append)
    assert kept is not None
    assert is_reaching(other), "it is confirmed, and asked no more"


def test_the_way_back_asks_nobody(stored: Driver, tmp_path: Path) -> None:
    asks = "[{percent: 1, by: [ana]}]"
    text = TEXT.replace("CONFIRM", asks).replace("strategy: staged", f"strategy: staged\n  confirm: {asks}")
    (tmp_path / "rollcast.yaml").write_text(text, "utf-8")
    project = Project.open(tmp_path)
    later = load(text.replace("{artifact: p@1", "{artifact: p@2"), settings_of=settings_of)
    back = make_plan(without_gates(project.declaration, project), live_as_declared(later))
    assert back.milestones
    assert not any(milestone.confirm for milestone in back.milestones)
    assert any(m.confirm for m in make_plan(project.declaration, live_as_declared(later)).milestones)
