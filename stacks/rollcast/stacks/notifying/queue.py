"""What one receiver has not got yet: the next notification, how often it was tried, and what was given up.

How far a receiver got is one row of the ledger, written under the driver's lease after each delivery. A process that is
killed between a delivery and that write delivers once more, with the same id. A receiver hears of what was recorded
after it was first seen in the declaration, in the order of the records. What is refused for good, or tried too often,
is a dead letter: it is kept, and what comes after it goes on.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable

from pydantic import BaseModel, ConfigDict, Field

from rollcast.planner.declaration.receivers import Receiver, shown_address
from rollcast.stacks.base.failpoints import failpoint
from rollcast.stacks.base.formats import StoredModel, read_stored
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.notifying.messages import Notification, Notifications
from rollcast.stacks.notifying.posting import Post, Refusal, post

POSITION = "notify:"
UNDELIVERED, AGAIN = "undelivered", "deliver again"
MOST_TRIES = 12  # which are over after a little more than an hour
_FIRST_WAIT_S = 2.0
MOST_WAIT_S = 1800.0
_STEP = 500  # records after which a place in the ledger is kept though nothing was delivered


class DeadLetter(BaseModel):
    """A notification that was given up: the record that it is of, and why."""

    model_config = ConfigDict(extra="allow")
    seq: int
    id: str
    event: str
    why: str
    tries: int
    time_s: float


class UndeliveredBody(StoredModel):
    """A receiver did not take a notification."""

    receiver: str
    seq: int
    id: str
    event: str
    why: str
    tries: int


class AgainBody(StoredModel):
    """A person wants dead letters delivered again."""

    by: str = ""


class QueueState(StoredModel):
    """How far a receiver got: everything until record `after` is delivered, or is a dead letter.

    `tries` of the next one, `failures` in a row of any; `next_s`: not before then, by the wall clock; `again`: dead
    letters that are delivered before what is next; `heard`: the newest order to do so; `retired`: no longer declared.
    """

    receiver: str
    after: int
    tries: int = 0
    failures: int = 0
    next_s: float = 0.0
    error: str = ""
    again: list[int] = Field(default_factory=list)
    dead: list[DeadLetter] = Field(default_factory=list)
    heard: int = -1
    retired: bool = False


def shown(receiver: Receiver) -> str:
    """A receiver as messages show it: without its path, by which alone some are protected."""
    return shown_address(receiver.url)


def name_of(receiver: Receiver) -> str:
    """The name of its row: what it is declared as, whatever its variables hold."""
    return POSITION + hashlib.sha256(f"{receiver.format.value} {receiver.url}".encode()).hexdigest()[:16]


def subscribe(ledger: Ledger, lease: Lease, receivers: Iterable[Receiver]) -> None:
    """New receivers hear of what is recorded from now on, and never of what was while they were not declared."""
    rows = {name: read_state(body) for name, body in ledger.positions(POSITION).items()}
    declared = {name_of(one): one for one in receivers}
    for name, receiver in declared.items():
        known = rows.get(name)
        if known is None or known.retired:
            last = ledger.last_seq()
            ledger.save(lease, name, QueueState(receiver=shown(receiver), after=last, heard=last).to_json())
    for name, state in rows.items():
        if name not in declared and not state.retired:
            ledger.save(lease, name, state.model_copy(update={"retired": True}).to_json())


class Queue:
    """The notifications of one receiver, for a process that holds the lease. Raises LedgerError, LockedError."""

    def __init__(
        self, ledger: Ledger, lease: Lease, receiver: Receiver, send: Post = post, wall: Callable[[], float] = time.time
    ) -> None:
        self._ledger, self._lease, self.receiver, self._send, self._wall = ledger, lease, receiver, send, wall
        self._name = name_of(receiver)
        state = ledger.position(self._name)
        self.state = (
            read_state(state) if state is not None else QueueState(receiver=shown(receiver), after=ledger.last_seq())
        )
        self._scanned = self.state.after
        self._notifications = Notifications(ledger)
        self._waiting: deque[Notification] = deque()

    def step(self) -> float | None:
        """Delivers at most one. 0 where it is settled; seconds until the next try where not; None with nothing left."""
        self._look()
        due = self._due()
        if due is None:
            if self._scanned - self.state.after > _STEP:
                self.state.after = self._scanned
                self._keep()
            return None
        left = self.state.next_s - self._wall()
        if 0 < left <= MOST_WAIT_S:  # a clock that was put back waits no longer
            return left
        failpoint("notify: before a try")
        refused = self._send(self.receiver, due)
        failpoint("notify: after a try")
        if refused is None:
            self.state.failures, self.state.error = 0, ""
            return self._settle(due)
        return self._refused(due, refused)

    def hurry(self) -> None:
        """Whatever was refused before, the next try is now."""
        self.state.next_s = 0.0

    @property
    def left(self) -> int:
        """How many are not settled, of what was looked at."""
        return len(self._waiting) + len(self.state.again)

    def _look(self) -> None:
        """Takes in what was recorded since."""
        for record in self._ledger.records(self._scanned):
            self._scanned = record.seq
            found = self._notifications.of(record)
            if found is not None and found.event in self.receiver.events:
                self._waiting.append(found)
        order = self._ledger.last(AGAIN)
        if order is not None and order.seq > self.state.heard:
            self.state.heard = order.seq
            self.state.again += [letter.seq for letter in self.state.dead]
            self.state.dead = []
            self.state.next_s = 0.0
            self._keep()

    def _due(self) -> Notification | None:
        while self.state.again:
            seq = self.state.again[0]
            record = next(iter(self._ledger.records(seq - 1)[:1]), None)
            found = self._notifications.of(record) if record is not None else None
            if found is not None:
                return found
            self.state.again.pop(0)
        return self._waiting[0] if self._waiting else None

    def _settle(self, done: Notification, letter: DeadLetter | None = None) -> float:
        if self.state.again:
            self.state.again.pop(0)
        else:
            self._waiting.popleft()
            self.state.after = done.seq
        self.state.tries, self.state.next_s = 0, 0.0
        if letter is None:
            self._keep()
        else:
            self.state.dead.append(letter)
            about = letter.model_dump(include={"seq", "id", "event", "why", "tries"})
            self._keep(UndeliveredBody(receiver=self.state.receiver, **about))
        return 0.0

    def _refused(self, due: Notification, refused: Refusal) -> float:
        self.state.tries += 1
        self.state.failures += 1
        self.state.error = refused.why
        if refused.final or self.state.tries >= MOST_TRIES:
            now = self._wall()
            letter = DeadLetter(
                seq=due.seq, id=due.id, event=due.event.value, why=refused.why, tries=self.state.tries, time_s=now
            )
            return self._settle(due, letter)
        wait_s = min(MOST_WAIT_S, max(refused.wait_s, _FIRST_WAIT_S * 2.0 ** min(self.state.failures - 1, 20)))
        self.state.next_s = self._wall() + wait_s
        self._keep()
        return wait_s

    def _keep(self, undelivered: UndeliveredBody | None = None) -> None:
        """The state, and in the same transaction the record of a dead letter."""
        record = (UNDELIVERED, undelivered.to_json()) if undelivered is not None else ()
        self._ledger.save(self._lease, self._name, self.state.to_json(), *record)


def read_state(body: object) -> QueueState:
    return read_stored(QueueState, body, "How far a receiver of notifications got")
