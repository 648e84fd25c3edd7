"""Orders are left where they can be heard, and none of them is given without the reason that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.engine.update import EngineStack
from rollcast.stacks.ledger.payloads import Order
from rollcast.stacks.ledger.rollouts import ledger_of, load, under_way
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.driver import Driver
from rollcast.stacks.rollout.milestones import MilestoneRunner
from rollcast.stacks.rollout.steering import _refuse_unreasoned
from rollcast.stacks.telemetry.guarded import Guarded
from tests.stacks.test_stored import unpacked

SILENT = {"name": "missing_telemetry", "ok": False, "sentence": "no telemetry came for 130 s"}
FINE = {"name": "sample_ratio", "ok": True, "sentence": ""}


def test_a_promotion_in_full_over_a_guard_that_holds_names_it_and_wants_a_reason() -> None:
    with pytest.raises(StackError, match=r"no telemetry came for 130 s.*--full --reason"):
        _refuse_unreasoned({"guards": [FINE, SILENT]})


@pytest.mark.parametrize("verdict", [None, {}, {"guards": []}, {"guards": [FINE]}])
def test_no_reason_is_wanted_where_nothing_holds(verdict: dict[str, Any] | None) -> None:
    _refuse_unreasoned(verdict)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Driver:
    return listening(tmp_path_factory.mktemp("orders"))


def listening(where: Path) -> Driver:
    """A driver of the stored rollout, which stands at 50 % and is paused. It listens, and carries nothing out."""
    folder = unpacked(where)
    project = Project.open(folder)
    ledger = ledger_of(project)
    started = under_way(ledger)
    assert started is not None
    context, lease = load(ledger, started), ledger.acquire(take_over=True)
    world = EngineStack(folder, project.declaration.pipeline, project.environment_name, lease.token)
    source = Guarded(project.environment.telemetry, folder)
    return Driver(context, ledger, lease, MilestoneRunner(folder, world), source, SAID.append)


SAID: list[Any] = []
other_words = st.text(max_size=12).filter(lambda text: text not in set(Order))
odd_bodies = st.fixed_dictionaries(
    {}, optional={"order": st.none() | st.integers() | st.lists(other_words, max_size=1)}
)
orders_of_another_version = st.builds(lambda order: {"order": order}, other_words) | odd_bodies


@given(body=orders_of_another_version, reason=st.text(max_size=5))
def test_an_order_of_another_version_is_said_and_left(driver: Driver, body: dict[str, Any], reason: str) -> None:
    SAID.clear()
    before = driver.rollout.position
    record = driver.ledger.append("order", driver.context.id, {**body, "reason": reason})
    assert driver._orders() is True
    assert driver.rollout.position == before, "nothing is done for it, and least of all a rollback"
    assert driver.checkpoint.heard == record.seq, "it is not heard again"
    assert [event.event for event in SAID] == ["progress"]
    assert "can't be done" in SAID[0].to_json()["text"]
    driver.ledger.append("order", driver.context.id, {**body, "reason": reason})
    with pytest.raises(StackError, match="newer of the two"):
        driver._orders(given_before=True)  # the command that runs says so as its error
    assert driver.rollout.position == before


@pytest.mark.parametrize("order", [one for one in Order if one is not Order.GO_ON])
def test_every_order_that_is_known_is_done(driver: Driver, order: Order) -> None:
    position = driver.rollout.position
    try:
        driver.rollout.position = position.model_copy(update={"paused": order is not Order.PAUSE})
        driver.obey(order)
        after = driver.rollout.position
        assert after.paused is (order in (Order.PAUSE, Order.ABORT)), "who aborts changes nothing of a pause"
        assert (after.rollback_from is not None) is (order is Order.ABORT)
    finally:
        driver.rollout.position = position
