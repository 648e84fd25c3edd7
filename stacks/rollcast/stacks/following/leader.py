"""One process at a time acts on a source: it holds a lease of the ledger, as a rollout does.

The lease only keeps two from doing the same work. What is promised of an environment does not rest on it: each rollout
has a lease and a fencing token of its own, so that one who was asleep while another took over can write nothing.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from rollcast.stacks.base.databases import LEDGER_URL, ledger_file
from rollcast.stacks.base.errors import LedgerError, LockedError
from rollcast.stacks.ledger.lease import TTL_S, Lease
from rollcast.stacks.ledger.ledger import Ledger, open_ledger_at


class Leadership:
    """The right to act on a source. Raises LedgerError where the ledger can't be reached."""

    def __init__(self, source: str, folder: Path) -> None:
        """`folder`: where the ledger is where none is named for all."""
        self._scope = f"controller:{hashlib.sha256(source.encode()).hexdigest()[:16]}"
        self._where = os.environ.get(LEDGER_URL) or ledger_file(folder)
        self._lease: Lease | None = None
        self._renewed_s = 0.0

    @property
    def held(self) -> bool:
        """Whether this process may act now: nobody can have taken over yet."""
        return self._lease is not None and time.monotonic() - self._renewed_s < TTL_S

    def take(self) -> str:
        """Takes the lease; who holds it, where another process does."""
        ledger = self._ledger()
        before = time.monotonic()
        try:
            self._lease, self._renewed_s = ledger.acquire(take_over=True), before
        except LockedError:
            holder = ledger.holder()
            return str(holder[0]) if holder else "another process"
        return ""

    def renew(self) -> None:
        """Keeps the lease. Raises LockedError where another process has taken over."""
        if self._lease is None:
            raise LockedError("No lease is held. Wait for it.")
        before = time.monotonic()
        try:
            self._ledger().renew(self._lease)
        except LockedError:
            self._lease = None
            raise
        self._renewed_s = before

    def release(self) -> None:
        """Gives it back, so that another one need not wait."""
        if self._lease is not None:
            with suppress(LedgerError):
                self._ledger().release(self._lease)
        self._lease = None

    def _ledger(self) -> Ledger:
        if self._opened is None:
            self._opened = open_ledger_at(self._where, self._scope)
        return self._opened

    _opened: Ledger | None = None


__all__ = ["Leadership"]
