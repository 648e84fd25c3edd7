"""What ledgers have newest, looked up so often that it must cost next to nothing.

A ledger that is a file is opened only where the file changed; one that all share is read once for all scopes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from rollcast.stacks.base.databases import LEDGER_URL, ledger_file
from rollcast.stacks.ledger.ledger import Ledger, existing_ledger, open_ledger_at

Newest = Mapping[str, int]


class NewestRecords:
    """The sequence number of the newest record by scope. Raises LedgerError."""

    def __init__(self) -> None:
        self._url = os.environ.get(LEDGER_URL, "")
        self._shared: Ledger | None = None
        self._of_all: Newest = {}
        self._of_file: dict[Path, tuple[object, Newest]] = {}

    def refresh(self) -> None:
        """Asks the ledger that all share, if there is one."""
        if self._url:
            self._shared = self._shared or open_ledger_at(self._url, "")
            self._of_all = self._shared.newest()

    def of(self, folder: Path) -> Newest:
        """What is known of a project: of the last `refresh` where the ledger is shared, else of now."""
        if self._url:
            return self._of_all
        file = ledger_file(folder)
        try:
            seen = file.stat()
        except OSError:
            return {}
        mark = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
        known = self._of_file.get(file)
        if known is None or known[0] != mark:
            ledger = existing_ledger(folder, "")
            known = (mark, ledger.newest() if ledger is not None else {})
            self._of_file[file] = known
        return known[1]


__all__ = ["Newest", "NewestRecords"]
