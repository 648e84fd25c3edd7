"""Times on a command line."""

from __future__ import annotations


def seconds_of(text: str) -> float:
    """Seconds since 1970 of what a person wrote; a time without a zone is UTC."""
    from datetime import UTC, datetime

    from rollcast.stacks.base.errors import StackError

    try:
        return float(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise StackError(f"'{text}' is no time. Write 2026-11-24T20:30:00Z, or seconds since 1970.") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
