"""Where the ledger of a pipeline is now: marks that a move leaves in both databases. The newest of a pipeline decides.

`moved`: it is at another place, and nothing goes on here. `arriving`: a move has not come to its end, and what it left
is here all the same the truth. `here`: a move came to its end; `backend` is then where Pulumi keeps its state. A
database without a mark never took part in a move.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, func, insert, inspect, select

from rollcast.stacks.base.clock import moment
from rollcast.stacks.base.databases import LEDGER_URL
from rollcast.stacks.base.errors import LedgerError, MovedError
from rollcast.stacks.ledger.schema import MOVES

EVERY = "*"
"""The pipeline of a mark that is about all of a file."""


class MarkState(StrEnum):
    """What a mark says of the database that it stands in."""

    ARRIVING = "arriving"
    HERE = "here"
    MOVED = "moved"


@dataclass(frozen=True)
class MoveMark:
    """A mark. `place`: where the ledger went to, or came from; `backend`: of Pulumi, without a password."""

    state: MarkState
    place: str
    backend: str
    time_s: float


def mark_of(connection: Connection, scope: str) -> MoveMark | None:
    """The mark that decides for a scope; None where there is none."""
    if not inspect(connection).has_table(MOVES.name):  # a ledger of before that may not be written
        return None
    pipelines = [scope.partition("/")[0], EVERY]
    query = select(MOVES).where(MOVES.c.pipeline.in_(pipelines)).order_by(MOVES.c.number.desc()).limit(1)
    row = connection.execute(query).first()
    if row is None:
        return None
    try:
        state = MarkState(row.state)
    except ValueError:
        raise LedgerError(
            f"The ledger says '{row.state}' of a move, which this rollcast does not know. Use a newer rollcast."
        ) from None
    return MoveMark(state, row.place, row.backend, row.time_s)


def put_mark(connection: Connection, pipeline: str, state: MarkState, place: str, backend: str = "") -> None:
    """Adds a mark, which decides from now on."""
    last = connection.execute(select(func.max(MOVES.c.number))).scalar()
    values = {"state": state.value, "place": place, "backend": backend, "time_s": time.time()}
    connection.execute(insert(MOVES).values(number=(last or 0) + 1, pipeline=pipeline, **values))


def refuse_moved(connection: Connection, scope: str) -> None:
    """Raises MovedError, with the place, where the ledger of a scope is not here, or not here as a whole."""
    mark = mark_of(connection, scope)
    if mark is None or mark.state is MarkState.HERE:
        return
    when = moment(mark.time_s)
    if mark.state is MarkState.ARRIVING:
        raise MovedError(
            f"The ledger was being moved here from {mark.place} ({when}), and that has not come to its end. "
            f"Give the old place to {LEDGER_URL} again, and repeat 'rollcast ledger move' there: it goes on."
        )
    if "://" in mark.place:
        remedy = f"Set {LEDGER_URL} to that database, with its password, and go on there."
    else:
        remedy = f"Unset {LEDGER_URL}, and go on in the project folder that has that file."
    raise MovedError(f"This ledger was moved to {mark.place} ({when}), so nothing goes on here. {remedy}")


__all__ = ["EVERY", "MarkState", "MoveMark", "mark_of", "put_mark", "refuse_moved"]
