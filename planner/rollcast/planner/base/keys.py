"""Targeting keys: the one rule by which a recorded value is a user, in telemetry, in traffic and in routing.

A user is any scalar: text as it stands, a number or a boolean as the text that JSON has for it, so 7, 7.0 and "7" are
one user. What is missing, null, empty or not a number is no key, and never a user. A list, an object, text with a lone
surrogate (which no UTF-8 can carry) and text longer than `LONGEST` can't be read as a key. Hashing takes any text.
"""

from __future__ import annotations

import datetime
import math
import uuid
from decimal import Decimal
from typing import Any

import mmh3

LONGEST = 4096
NO_KEY = ""


class UnusableKey(ValueError):
    """A value that is neither a key nor the absence of one."""


def key_of(value: Any) -> str:
    """The targeting key that a recorded value is; NO_KEY where it is none. Raises UnusableKey."""
    if value is None:
        return NO_KEY
    text = value if isinstance(value, str) else _text(value)
    if len(text) > LONGEST:
        raise UnusableKey(f"a key of {len(text):,} characters; at most {LONGEST:,} can be used")
    if not text.isascii() and not well_formed(text):
        raise UnusableKey("a key with a lone surrogate, which is no text")
    return text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | Decimal):
        if math.isnan(value):
            return NO_KEY
        if not math.isfinite(value) or (isinstance(value, Decimal) and value.adjusted() > LONGEST):
            raise UnusableKey("an infinite or absurdly large number as key")
        if value != int(value):
            return str(value)
        value = int(value)
    if isinstance(value, int):
        if value.bit_length() > 4 * LONGEST:
            raise UnusableKey(f"a number of more than {LONGEST:,} digits as key")
        return _digits(value)
    if isinstance(value, uuid.UUID | datetime.date):
        return str(value)
    raise UnusableKey(f"a key must be text or a number, not {type(value).__name__}")


def _digits(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than the interpreter is set to write
        raise UnusableKey("a number with too many digits as key") from None


def well_formed(text: str) -> bool:
    """Whether a text can be written as UTF-8: lone surrogates can't, though JSON can spell them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def unit_of(key: str) -> int:
    """The unit of analysis of a targeting key, live and simulated alike: 64 bits of murmur3."""
    return int(mmh3.hash64(hashable(key), signed=False)[0])


def hashable(text: str) -> bytes:
    """The bytes that are hashed for a text. Any text has some, so every text can be hashed."""
    return text.encode("utf-8", "surrogatepass")
