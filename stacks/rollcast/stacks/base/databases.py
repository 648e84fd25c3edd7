"""Where the project's database is, and what a database's error says in one line without a secret."""

from __future__ import annotations

from pathlib import Path

LEDGER_URL = "ROLLCAST_LEDGER_URL"


def ledger_file(folder: Path) -> Path:
    """The ledger of a project where LEDGER_URL names no other."""
    return folder / ".rollcast" / "ledger.db"


def first_line(error: Exception) -> str:
    """What a database or a service said, without the statement and its values."""
    origin = getattr(error, "orig", None) or error
    return str(origin).strip().splitlines()[0] if str(origin).strip() else type(error).__name__
