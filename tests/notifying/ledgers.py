"""Ledgers in memory with the records that a rollout leaves, and a clock that a test turns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count

from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import StaticPool

from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import FailedBody, FinishedBody, HeldBody, StartedBody
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED
from rollcast.stacks.ledger.schema import migrate

_NUMBERS = count()


@cache
def _engine() -> Engine:
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.begin() as connection:
        migrate(connection)
    return engine


def ledger_in_memory() -> tuple[Ledger, Lease]:
    """A ledger of a new pipeline in its environment production, and the lease on it."""
    ledger = Ledger(_engine(), f"rag{next(_NUMBERS)}/production")
    return ledger, ledger.acquire()


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Rollouts:
    """Writes rollouts into a ledger, as a driver does."""

    ledger: Ledger
    lease: Lease
    begun: int = 0
    serving: str = ""
    seqs: list[int] = field(default_factory=list)

    def begin(self, rollback: bool = False, removal: bool = False) -> str:
        self.begun += 1
        name = f"ro-{self.begun}"
        to = {} if removal else {"default": f"rel-{self.begun}"}
        body = StartedBody(
            documents={}, plan_digest="sha256:p", binding={}, from_release={"default": self.serving or None},
            to_release=to, by="ana", reason="a new prompt", rollback=rollback,
        )  # fmt: skip
        self.write(STARTED, name, body.to_json())
        return name

    def hold(self, name: str, reason: str = "paused") -> None:
        self.write("held", name, HeldBody(reason=reason, milestone=1).to_json())

    def fail(self, name: str, error: str = "the disk is full") -> None:
        body = FailedBody(milestone=2, title="everyone", rollback=False, error=error)
        self.write("failed", name, body.to_json())

    def end(self, name: str, outcome: str = "promoted") -> None:
        self.write(FINISHED, name, FinishedBody(outcome=outcome, reason="every gate passed", tally={}).to_json())
        if outcome == "promoted":
            self.serving = f"rel-{name.partition('-')[2]}"

    def write(self, kind: str, name: str, body: dict[str, object]) -> None:
        self.seqs.append(self.ledger.append(kind, name, body, self.lease).seq)

    def many(self, count: int) -> Iterator[str]:
        for _ in range(count):
            name = self.begin()
            self.end(name)
            yield name
