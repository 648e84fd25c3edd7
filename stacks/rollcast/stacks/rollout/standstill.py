"""When nothing begins and nothing advances: a freeze that is declared, or a brake that somebody pulled.

Both hold what leads forwards and nothing else: gates go on watching, proved harm is rolled back, and so is what a
person orders back. The brake is a record in the environment's ledger, of which the last holds; it is for an incident,
whose end nobody knows. A rollout that stands still goes on by itself afterwards.
"""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rollcast.planner.declaration.freezes import Freeze, frozen_at
from rollcast.stacks.base.clock import moment
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.formats import StoredModel
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import existing_of
from rollcast.stacks.project import Project

BRAKE = "brake"


class BrakeBody(StoredModel):
    """The brake is pulled, or released. source: where the order came from, such as an incident's webhook."""

    pulled: bool
    reason: str = ""
    by: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Standstill:
    """Why nothing advances, and until when (seconds since 1970); None where nobody knows."""

    kind: str
    reason: str
    since_s: float
    until_s: float | None = None

    @property
    def sentence(self) -> str:
        """For people: what holds, why, and what ends it."""
        if self.until_s is not None:
            return f"frozen until {moment(self.until_s)}: {self.reason}"
        return f"the brake is on since {moment(self.since_s)}: {self.reason}"

    @property
    def refusal(self) -> str:
        """Why nothing begins, and what to do."""
        if self.until_s is not None:
            return f"Nothing begins here: {self.sentence}. Apply it then, or have the freeze changed and reviewed."
        return f"Nothing begins here: {self.sentence}. Release it with 'rollcast brake --release --reason TEXT'."

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "reason": self.reason, "since_s": self.since_s, "until_s": self.until_s}


def standstill(freezes: Iterable[Freeze], ledger: Ledger | None, now_s: float) -> Standstill | None:
    """What holds an environment at a moment; the brake first, for its end is not known. Raises LedgerError."""
    last = ledger.last(BRAKE) if ledger is not None else None
    if last is not None and (body := last.read(BrakeBody)).pulled:
        source = f" ({body.source})" if body.source else ""
        why = body.reason or "no reason was given"
        return Standstill("brake", f"{why}, says {body.by or 'somebody'}{source}", last.time_s)
    period = frozen_at(freezes, now_s)
    return Standstill("freeze", period.reason, period.from_s, period.until_s) if period is not None else None


def standstill_of(project: Project) -> Standstill | None:
    """What holds a project's environment now. Raises LedgerError."""
    return standstill(project.environment.freezes, existing_of(project), time.time())


def set_brake(ledger: Ledger, *, pulled: bool, reason: str, by: str = "", source: str = "") -> Record | None:
    """Pulls or releases the brake; None where it already is as it should be. Raises StackError without a reason."""
    if not reason.strip():
        raise StackError(f"Say why: rollcast brake{'' if pulled else ' --release'} --reason TEXT")
    last = ledger.last(BRAKE)
    if (last is not None and last.read(BrakeBody).pulled) == pulled:
        return None
    body = BrakeBody(pulled=pulled, reason=reason, by=by or getpass.getuser(), source=source)
    return ledger.append(BRAKE, "", body.to_json())


__all__ = ["BRAKE", "BrakeBody", "Standstill", "set_brake", "standstill", "standstill_of"]
