"""Flags: who is served by which release, where the data plane reads it, and whose it is.

A kind is an entry point in `rollcast.flags`: a class with the attribute `settings_model`, made from such settings, the
project folder, and the scope whose tokens its writes carry. It refuses a write whose fencing token is older than one
that it has seen. So a process that lost its lease and wakes up later can't undo what its successor did, whatever it
believes. Read `definitions`, `flag_documents`, `flagd`, `publishing`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field


class Holding(BaseModel):
    """Which ledger a pipeline is kept in, and who drove its last rollout: where others have to go.

    `ledger` says where it is, without a secret; `since_s` is when the driver began, in seconds since 1970; `identity`
    is the driver's process, by which it is known whether it still runs; empty where an older version wrote it.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)
    lineage: str
    ledger: str
    driver: str
    rollout: str
    since_s: float
    identity: dict[str, Any] = Field(default_factory=dict)


class FlagStore(Protocol):
    """What rollcast asks of a place where flags are kept, with the definitions that they name."""

    @property
    def place(self) -> str:
        """Names the place: two objects with one name write to the same flags."""

    def claim(self, fence: int) -> None:
        """Refuses every older token from now on. Raises FenceError when this one is older itself."""

    def newest(self) -> int:
        """The newest token that was claimed here; 0 before there was any."""

    def flag(self, key: str) -> dict[str, Any] | None:
        """The flag that the data plane evaluates now."""

    def flags(self) -> dict[str, Any]:
        """All flags by key, whoever wrote them."""

    def put_flag(self, fence: int, key: str, flag: Mapping[str, Any] | None) -> None:
        """Replaces a flag in one step; None takes it away. Raises FenceError, StackError."""

    def holdings(self) -> dict[str, Holding]:
        """By pipeline, which ledger it is kept in, as far as drivers have said so."""

    def put_holding(self, fence: int, pipelines: Collection[str], holding: Holding) -> None:
        """Says for these pipelines which ledger they are kept in. Raises FenceError, StackError."""

    def document(self, digest: str) -> Any:
        """A stored definition. Raises StackError when it is absent or not what its digest says."""

    def put_document(self, fence: int, digest: str, body: str) -> None:
        """Stores canonical JSON under its digest. Raises FenceError, StackError."""
