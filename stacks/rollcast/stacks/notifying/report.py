"""What receivers have not got, as `rollcast status` and `rollcast notify` show it. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rollcast.planner.declaration.receivers import Receiver
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.notifying.messages import Notifications
from rollcast.stacks.notifying.queue import POSITION, name_of, read_state, shown


def receivers_report(ledger: Ledger, receivers: Iterable[Receiver]) -> list[dict[str, Any]]:
    """Each declared receiver: how many notifications it has not got yet, since when, why, and its dead letters."""
    rows = ledger.positions(POSITION)
    return [_report(ledger, receiver, rows.get(name_of(receiver))) for receiver in receivers]


def _report(ledger: Ledger, receiver: Receiver, row: object) -> dict[str, Any]:
    about = {
        "receiver": shown(receiver),
        "format": receiver.format.value,
        "events": [event.value for event in receiver.events],
    }
    if row is None:
        return {**about, "waiting": 0, "since_s": None, "tries": 0, "next_s": None, "error": "", "dead": []}
    state = read_state(row)
    notifications = Notifications(ledger)
    found = [one for record in ledger.records(state.after) if (one := notifications.of(record)) is not None]
    waiting = [one.time_s for one in found if one.event in receiver.events]
    return {
        **about,
        "waiting": len(waiting) + len(state.again),
        "since_s": min(waiting, default=None),
        "tries": state.tries,
        "next_s": state.next_s or None,
        "error": state.error,
        "dead": [letter.model_dump() for letter in state.dead],
    }


__all__ = ["receivers_report"]
