"""Every notification reaches its receiver at least once and in order, whatever is killed and whatever is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.planner.declaration.receivers import NotifyEvent, Receiver
from rollcast.stacks.base import failpoints
from rollcast.stacks.notifying.messages import Notification
from rollcast.stacks.notifying.posting import Refusal
from rollcast.stacks.notifying.queue import AGAIN, MOST_TRIES, MOST_WAIT_S, AgainBody, Queue, name_of, subscribe
from rollcast.stacks.notifying.report import receivers_report
from tests.notifying.ledgers import Clock, Rollouts, ledger_in_memory

RECEIVER = Receiver(url="https://ops.example/hooks/1")


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def killing(after: list[int]) -> Iterator[None]:
    """Ends the process at the failpoints that are passed as these numbers of passes from now on."""
    left = list(after)

    def hook(name: str) -> None:
        if left:
            left[0] -= 1
            if left[0] < 0:
                left.pop(0)
                raise Killed

    failpoints.install(hook)
    try:
        yield
    finally:
        failpoints._installed.remove(hook)


moves = st.lists(st.sampled_from(["begin", "hold", "fail", "promoted", "rolled_back"]), max_size=12)
answers = st.lists(st.sampled_from(["taken", "taken", "later", "never", "lost"]), max_size=30)


@settings(deadline=None, max_examples=60)
@given(moves, answers, st.lists(st.integers(0, 9), max_size=8))
def test_nothing_is_lost_and_nothing_overtakes_by_a_kill_between_any_two_steps(
    written: list[str], given_: list[str], kills: list[int]
) -> None:
    ledger, lease = ledger_in_memory()
    subscribe(ledger, lease, [RECEIVER])
    rollouts, clock = Rollouts(ledger, lease), Clock()
    left, taken, refused = iter(given_), [], set()

    def send(receiver: Receiver, notification: Notification) -> Refusal | None:
        answer = next(left, "taken")
        if answer in ("taken", "lost"):
            taken.append(notification.seq)
        if answer == "never":
            refused.add(notification.seq)
        return {"taken": None, "lost": Refusal("no answer"), "later": Refusal("it answered 500")}.get(
            answer, Refusal("it answered 410", final=True)
        )

    name, todo = rollouts.begin(), iter(written)
    queue: Queue | None = None
    with killing(kills):
        for _ in range(300):
            try:
                queue = queue or Queue(ledger, lease, RECEIVER, send, clock)
                waits = queue.step()
            except Killed:
                queue = None  # another process begins from what the ledger holds
                continue
            clock.now += waits or 0.0
            if waits is None:
                move = next(todo, None)
                if move is None:
                    break
                failpoints._installed, hooks = [], failpoints._installed  # the driver's own writes are not the matter
                match move:
                    case "begin":
                        name = rollouts.begin()
                    case "hold":
                        rollouts.hold(name)
                    case "fail":
                        rollouts.fail(name)
                    case outcome:
                        rollouts.end(name, outcome)
                failpoints._installed = hooks
        else:
            raise AssertionError("it never came to an end")
    first_times = list(dict.fromkeys(taken))
    assert first_times == sorted(first_times), "one overtook another"
    assert set(rollouts.seqs) - refused <= set(taken), "one was lost"
    assert queue is not None
    given_up = {letter.seq for letter in queue.state.dead}
    assert given_up <= refused
    assert {record.body["seq"] for record in ledger.records() if record.kind == "undelivered"} >= given_up


def test_what_is_refused_for_an_hour_is_delivered_afterwards_and_waits_ever_longer() -> None:
    ledger, lease = ledger_in_memory()
    subscribe(ledger, lease, [RECEIVER])
    rollouts, clock, tries = Rollouts(ledger, lease), Clock(), []
    began = clock.now

    def send(receiver: Receiver, notification: Notification) -> Refusal | None:
        tries.append(clock.now - began)
        return Refusal("it answered 500") if clock.now - began < 3600 else None

    list(rollouts.many(1))
    queue = Queue(ledger, lease, RECEIVER, send, clock)
    while (waits := queue.step()) is not None:
        clock.now += waits
    gaps = [later - earlier for earlier, later in pairwise(tries)]
    assert gaps[:-1] == sorted(gaps[:-1])
    assert len(tries) <= MOST_TRIES + 1, "no storm of tries"
    assert queue.state.dead == []
    assert queue.left == 0


def test_what_is_never_taken_becomes_a_dead_letter_that_one_order_delivers_again() -> None:
    ledger, lease = ledger_in_memory()
    subscribe(ledger, lease, [RECEIVER])
    rollouts, clock, works, taken = Rollouts(ledger, lease), Clock(), [False], []

    def send(receiver: Receiver, notification: Notification) -> Refusal | None:
        if works[0]:
            taken.append(notification.id)
        return None if works[0] else Refusal("it answered 500")

    list(rollouts.many(1))
    queue = Queue(ledger, lease, RECEIVER, send, clock)
    while (waits := queue.step()) is not None:
        clock.now += waits
    (report,) = receivers_report(ledger, [RECEIVER])
    assert [(letter["event"], letter["tries"]) for letter in report["dead"]] == [("began", 12), ("deployed", 12)]
    works[0] = True
    ledger.append(AGAIN, "", AgainBody(by="ana").to_json())
    following = Queue(ledger, lease, RECEIVER, send, clock)
    while following.step() == 0.0:
        pass
    assert taken == [letter["id"] for letter in report["dead"]], "with the ids that they had"
    (report,) = receivers_report(ledger, [RECEIVER])
    assert (report["dead"], report["waiting"]) == ([], 0)


def test_what_is_refused_for_good_holds_nothing_up() -> None:
    ledger, lease = ledger_in_memory()
    subscribe(ledger, lease, [RECEIVER])
    rollouts, taken = Rollouts(ledger, lease), []

    def send(receiver: Receiver, notification: Notification) -> Refusal | None:
        if notification.event is NotifyEvent.BEGAN:
            return Refusal("it answered 400", final=True)
        taken.append(notification.event)
        return None

    list(rollouts.many(2))
    queue = Queue(ledger, lease, RECEIVER, send)
    while queue.step() == 0.0:
        pass
    assert taken == [NotifyEvent.DEPLOYED] * 2
    assert [letter.tries for letter in queue.state.dead] == [1, 1]


def test_a_receiver_hears_of_nothing_from_before_it_was_declared_and_while_it_was_not() -> None:
    ledger, lease = ledger_in_memory()
    rollouts = Rollouts(ledger, lease)
    list(rollouts.many(1))
    subscribe(ledger, lease, [RECEIVER])
    heard: list[str] = []

    def deliver() -> list[str]:
        heard.clear()
        queue = Queue(ledger, lease, RECEIVER, lambda _, notification: heard.append(notification.rollout))
        while queue.step() == 0.0:
            pass
        return heard

    list(rollouts.many(1))
    assert deliver() == ["ro-2", "ro-2"]
    subscribe(ledger, lease, [])
    list(rollouts.many(1))
    subscribe(ledger, lease, [RECEIVER])
    list(rollouts.many(1))
    assert deliver() == ["ro-4", "ro-4"]


def test_only_the_events_that_are_wanted_are_delivered() -> None:
    ledger, lease = ledger_in_memory()
    wanted = RECEIVER.model_copy(update={"events": (NotifyEvent.ROLLEDBACK, NotifyEvent.HELD)})
    subscribe(ledger, lease, [wanted])
    rollouts, heard = Rollouts(ledger, lease), []
    for outcome in ("promoted", "rolled_back"):
        name = rollouts.begin()
        rollouts.hold(name)
        rollouts.end(name, outcome)
    queue = Queue(ledger, lease, wanted, lambda _, notification: heard.append(notification.event.value))
    while queue.step() == 0.0:
        pass
    assert heard == ["held", "held", "rolledback"]
    assert name_of(wanted) == name_of(RECEIVER), "another choice of events is the same receiver"


@pytest.mark.parametrize("jump_s", [-1e6, -3600.0, 7200.0])
def test_a_clock_that_jumps_neither_loses_a_notification_nor_waits_for_ever(jump_s: float) -> None:
    ledger, lease = ledger_in_memory()
    subscribe(ledger, lease, [RECEIVER])
    rollouts, clock, answers = Rollouts(ledger, lease), Clock(), iter([Refusal("it answered 500")])
    rollouts.begin()
    queue = Queue(ledger, lease, RECEIVER, lambda *_: next(answers, None), clock)
    assert queue.step() == 2.0
    clock.now += jump_s
    waited = 0.0
    while (waits := queue.step()) is not None:
        clock.now += waits
        waited += waits
    assert waited <= MOST_WAIT_S
    assert queue.left == 0
