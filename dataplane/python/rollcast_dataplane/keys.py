"""Targeting keys, by the same rule as rollcast's planner, its telemetry and its traffic (spec R4, R5).

A key is any scalar: text as it stands, a number or a boolean as the text that JSON has for it. A request without a user
takes the first that it has of session, device and request id, with a prefix, so that none is taken for a user.
"""

from __future__ import annotations

import math
from typing import Any

from rollcast_dataplane.errors import RefusedKey

LONGEST = 4096


def key_of(value: Any) -> str:
    """The key that a value is; empty where it is none. Raises RefusedKey."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else _text(value)
    if len(text) > LONGEST:
        raise RefusedKey(f"A key has {len(text):,} characters; at most {LONGEST:,} can be used. Correct the request.")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RefusedKey("A key holds a lone surrogate, which is no text. Correct the request.") from None
    return text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        if math.isinf(value):
            raise RefusedKey("A key is an infinite number. Correct the request.")
        if value != int(value):
            return str(value)
        value = int(value)
    if isinstance(value, int):
        if value.bit_length() > 4 * LONGEST:
            raise RefusedKey(f"A key is a number of more than {LONGEST:,} digits. Correct the request.")
        try:
            return str(value)
        except ValueError:  # more digits than the interpreter is set to write
            raise RefusedKey("A key is a number with too many digits. Correct the request.") from None
    raise RefusedKey(f"A key must be text or a number, not {type(value).__name__}. Correct the request.")


def chosen(user: Any, session: Any, device: Any, request: str) -> tuple[str, str]:
    """(key, whose it is) of a request: of user, session, device and request id the first that it has."""
    for kind, value in (("user", user), ("session", session), ("device", device)):
        key = key_of(value)
        if key:
            return (key if kind == "user" else f"{kind}:{key}"), kind
    return f"request:{request}", "request"
