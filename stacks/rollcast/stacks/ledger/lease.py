"""The lease: one process acts in one environment, and its fencing token says which.

A token is larger than every one before it. A lease left by a process that is gone, or that has not renewed it in time,
can be taken over explicitly; the old holder's writes are refused from then on, by the ledger and by the target. Time is
the database's own, so machines that share a ledger need not agree on the hour.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict

from rollcast.stacks.base.errors import LockedError
from rollcast.stacks.base.formats import StoredModel, read_stored
from rollcast.stacks.base.processes import began, boot_of, identity_of

TTL_S = float(os.environ.get("ROLLCAST_LEASE_S", "30"))


class Holder(StoredModel):
    """A process; a later one with the same number has begun at another time. It is replaced, never changed."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    host: str
    boot: str
    pid: int
    began: str
    user: str

    @classmethod
    def this(cls) -> Holder:
        """The process that runs."""
        user = os.environ.get("USER") or str(os.getuid())
        this = identity_of(os.getpid())
        return cls(host=socket.gethostname(), user=user, **this)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Holder:
        """From what `to_json` gave; what another version says besides is left alone. Raises LedgerError."""
        return read_stored(cls, data, "The lease")

    @property
    def is_gone(self) -> bool:
        """Whether this is certain to be dead: it ran on this machine, and is not there any more."""
        if self.host != socket.gethostname():
            return False
        return self.boot != boot_of() or began(self.pid) != self.began

    def refuse(self, left_s: float, *, take_over: bool) -> None:
        """Raises LockedError where this holds a lease for `left_s` seconds more, or only by order gives it up."""
        if left_s > 0 and not self.is_gone:
            raise LockedError(
                f"{self} is at work here and holds the lease for {left_s:.0f} s more. "
                "Wait for it, or steer it with 'rollcast pause', 'promote', 'abort' or 'rollback'."
            )
        if not take_over:
            why = "is gone" if self.is_gone else f"has not renewed it for {-left_s:.0f} s"
            raise LockedError(
                f"The lease is still that of {self}, which {why}. "
                "Take it over with 'rollcast apply --resume', or roll back with 'rollcast abort'."
            )

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host}"


@dataclass(frozen=True)
class Lease:
    """The right to act in a scope, while `token` is the newest."""

    scope: str
    token: int
    holder: Holder
