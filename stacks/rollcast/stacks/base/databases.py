"""Where the project's database is, and what a database's error says in one line without a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import ArgumentError

LEDGER_URL = "ROLLCAST_LEDGER_URL"


def ledger_file(folder: Path) -> Path:
    """The ledger of a project where LEDGER_URL names no other."""
    return folder / ".rollcast" / "ledger.db"


def first_line(error: Exception) -> str:
    """What a database or a service said, without the statement and its values."""
    origin = getattr(error, "orig", None) or error
    return str(origin).strip().splitlines()[0] if str(origin).strip() else type(error).__name__


def engine_at(url: str, **settings: Any) -> Engine:
    """An engine for a URL. Raises ArgumentError, in whatever way the URL is none: its words hold no part of it."""
    try:
        return create_engine(url, **settings)
    except ValueError:  # a port that is no number
        raise ArgumentError("its port is no number") from None
    except ArgumentError:
        raise ArgumentError("its URL is none") from None
