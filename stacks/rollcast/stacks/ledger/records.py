"""Records: what is remembered of a decision, and the chain of hashes that shows any edit.

hash = sha256 of the canonical JSON of everything in a record and the hash before it. A record that was changed, left
out or put in breaks the chain at that place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict

from rollcast.planner.releases.releases import digest_of
from rollcast.stacks.base.errors import LedgerError
from rollcast.stacks.base.formats import StoredModel, read_stored

P = TypeVar("P", bound=StoredModel)
GENESIS = "sha256:" + "0" * 64


class Record(BaseModel):
    """One entry. `time_s` is seconds since 1970 (UTC) by the writer's clock; order is `seq`, never time."""

    model_config = ConfigDict(frozen=True)
    scope: str
    seq: int
    time_s: float
    kind: str
    rollout: str
    body: dict[str, Any]
    previous: str
    hash: str

    def read(self, payload: type[P]) -> P:
        """The body as its model. Raises FormatError on a newer format, LedgerError on what can't be read."""
        return read_stored(payload, self.body, f"Record {self.seq} of {self.scope} ({self.kind})")

    def computed(self) -> str:
        """The hash that this content must have."""
        return digest_of(self.model_dump(exclude={"hash"}))


def link(scope: str, last: Record | None, time_s: float, kind: str, rollout: str, body: dict[str, Any]) -> Record:
    """The record that follows `last`."""
    record = Record(
        scope=scope,
        seq=last.seq + 1 if last else 0,
        time_s=round(time_s, 3),
        kind=kind,
        rollout=rollout,
        body=body,
        previous=last.hash if last else GENESIS,
        hash="",
    )
    return record.model_copy(update={"hash": record.computed()})


def short_lineage(lineage: str) -> str:
    """As messages show a lineage, which is the hash of a ledger's first record."""
    return lineage.removeprefix("sha256:")[:12]


def verify(records: Iterable[Record]) -> int:
    """The number of records of an unbroken chain. Raises LedgerError naming the first record that is not as written."""
    expected, count = GENESIS, 0
    for record in records:
        if record.seq != count:
            raise LedgerError(f"Record {count} of {record.scope} is missing: the ledger was edited. Restore a backup.")
        if record.previous != expected or record.hash != record.computed():
            raise LedgerError(f"Record {count} of {record.scope} was edited: its hash is wrong. Restore a backup.")
        expected, count = record.hash, count + 1
    return count
