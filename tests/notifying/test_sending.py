"""Beside a driver's work: no receiver slows a rollout, and none waits for another one."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rollcast.planner.declaration.receivers import Receiver
from rollcast.stacks.base.events import Event, Progressed
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger, open_ledger
from rollcast.stacks.notifying.queue import Queue, subscribe
from rollcast.stacks.notifying.sender import LINGER_S, delivering
from tests.notifying.ledgers import Rollouts
from tests.notifying.receiving import webhook


@pytest.fixture
def work(tmp_path: Path) -> tuple[Ledger, Lease]:
    """A ledger in a file, as a project has it, and the lease on it."""
    ledger = open_ledger(tmp_path, "rag/production")
    return ledger, ledger.acquire()


def test_a_hundred_rollouts_reach_a_receiver_in_order_beside_one_that_hangs_and_one_that_is_out_of_order(
    work: tuple[Ledger, Lease],
) -> None:
    ledger, lease = work
    with webhook() as well, webhook() as hangs, webhook() as broken:
        hangs.answer = lambda delivery: "hang"
        broken.answer = lambda delivery: 500
        receivers = [Receiver(url=hook.url) for hook in (hangs, broken, well)]
        subscribe(ledger, lease, receivers)
        rollouts, said = Rollouts(ledger, lease), list[Event]()
        with delivering(ledger, lease, receivers, said.append) as emit:
            for name in rollouts.many(100):
                emit(Progressed(text=name))
            well.await_taken(200)
            ended = time.monotonic()
        lingered_s = time.monotonic() - ended
        assert lingered_s < LINGER_S + 1
        assert len(hangs.tried) <= 2, "one at a time"
        assert len(broken.tried) < 10, "no storm of tries"
        chains = [delivery.json["data"]["context"]["chainId"] for delivery in well.taken]
        assert chains == [f"ro-{number}" for number in range(1, 101) for _ in range(2)]
        assert len({delivery.json["id"] for delivery in well.taken}) == 200
        left = [event.text for event in said if isinstance(event, Progressed) and "notification" in event.text]
        assert len(left) == 2, "what is left is said of both"
        assert hangs.url in left[0]


def test_what_one_driver_left_the_next_one_delivers_with_the_same_ids(work: tuple[Ledger, Lease]) -> None:
    ledger, lease = work
    with webhook() as hook:
        hook.answer = lambda delivery: 503
        receivers = [Receiver(url=hook.url)]
        subscribe(ledger, lease, receivers)
        with delivering(ledger, lease, receivers, lambda event: None):
            list(Rollouts(ledger, lease).many(1))
        first = hook.tried[0].json["id"]
        assert hook.taken == []
        hook.answer = lambda delivery: 200
        time.sleep(max(0.0, Queue(ledger, lease, receivers[0]).state.next_s - time.time()))
        with delivering(ledger, lease, receivers, lambda event: None):
            pass
        assert hook.taken[0].json["id"] == first
        assert hook.types == ["rollcast-rollout.began", "service.deployed"]


def test_a_driver_that_lost_its_lease_keeps_nothing_and_its_successor_delivers(work: tuple[Ledger, Lease]) -> None:
    ledger, lease = work
    with webhook() as hook:
        receivers = [Receiver(url=hook.url)]
        subscribe(ledger, lease, receivers)
        list(Rollouts(ledger, lease).many(1))
        ledger.release(lease)
        newer = ledger.acquire()
        with delivering(ledger, lease, receivers, lambda event: None):
            pass
        assert len(hook.taken) <= 1
        with delivering(ledger, newer, receivers, lambda event: None):
            pass
        ids = [delivery.json["id"] for delivery in hook.taken]
        assert len(set(ids)) == 2


def test_without_receivers_no_thread_is_begun(work: tuple[Ledger, Lease]) -> None:
    ledger, lease = work
    said = list[Event]()
    with delivering(ledger, lease, (), said.append) as emit:
        assert emit == said.append
