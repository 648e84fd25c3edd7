"""Single values of a trace: times, counts, measurements. Each refusal names the place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rollcast.planner.base.keys import key_of
from rollcast.simulator.base.errors import TrafficError

MOST_TOKENS = 10_000_000
REMEDY = "Correct or remove the line."
UNITS_S: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_LATEST_S = 7.3e9  # the year 2200


def timestamp_s(value: Any, place: str, unit: str = "auto") -> float:
    """Seconds of an ISO 8601 time or of a number in a unit (auto: seconds). Raises TrafficError."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if unit == "iso" or (isinstance(value, str) and unit == "auto" and not _is_number(value)):
        return _iso_s(str(value), place)
    found = number(value, place, "a time") * (1.0 if unit == "auto" else UNITS_S[unit])
    if found > _LATEST_S:
        raise TrafficError(
            f"{place}: the time {value} is beyond the year 2200: it is counted in another unit. "
            "Say in which with --columns unit=ms (or us, ns)."
        )
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _iso_s(text: str, place: str) -> float:
    plain = text.strip()
    date, dot, rest = plain.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    try:
        parsed = datetime.fromisoformat(date + dot + rest[: min(digits, 6)] + rest[digits:])
    except (ValueError, OverflowError):
        raise TrafficError(f"{place}: '{text[:40]}' is not a time such as 2023-11-16 18:15:46.680. {REMEDY}") from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def number(value: Any, place: str, what: str = "a number") -> float:
    """A finite number of at least 0. Raises TrafficError."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TrafficError(f"{place}: '{_shown(value)}' is not {what}. {REMEDY}") from None
    if isinstance(value, bool) or not math.isfinite(found) or found < 0:
        raise TrafficError(f"{place}: {value} is not possible. {REMEDY}")
    return found


def key(value: Any, place: str) -> str:
    """A targeting key, "" where there is none, by the same rule as in live telemetry. Raises TrafficError."""
    try:
        return key_of(value)
    except ValueError as error:
        raise TrafficError(f"{place}: {error}. {REMEDY}") from None


def _shown(value: Any) -> str:
    """The beginning of a value; a number of very many digits is written by none."""
    try:
        return str(value)[:40]
    except ValueError:
        return "a number of very many digits"


def tokens(value: Any, place: str) -> int:
    """A count of tokens. Raises TrafficError."""
    try:
        found = int(value)
        whole = not isinstance(value, bool) and float(value) == found
    except (TypeError, ValueError, OverflowError):
        whole, found = False, 0
    if not whole:
        raise TrafficError(f"{place}: '{_shown(value)}' is not a number of tokens. {REMEDY}")
    if not 0 <= found <= MOST_TOKENS:
        raise TrafficError(f"{place}: {found} tokens are not possible; 0 to {MOST_TOKENS:,} are. {REMEDY}")
    return found
