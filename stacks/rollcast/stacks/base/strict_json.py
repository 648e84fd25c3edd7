"""JSON from outside: one reader, whose result can be compared, printed, hashed and written again.

Python's own takes more than JSON (NaN, Infinity) and what breaks its users later: a lone surrogate (`"\\ud800"`) is
no text that can be encoded, an integer of 400 digits is no float, and arrays in arrays end in a RecursionError.
"""

from __future__ import annotations

import json
import re
from typing import Any

_MOST_DIGITS = 30
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def strict_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, which says in a few words what is wrong with it."""
    try:
        if isinstance(text, str):
            text.encode()  # half of a pair can't be encoded
        read = text if isinstance(text, str) else text.decode("utf-8")
        value = json.loads(read, parse_constant=_refuse, parse_int=_integer)
        if _SURROGATE.search(read):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeError:
        raise ValueError("it holds what is no Unicode text") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    return int(digits)


__all__ = ["strict_json"]
