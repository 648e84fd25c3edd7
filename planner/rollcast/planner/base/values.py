"""Small value types of the declaration: durations, version texts, version ranges.

YAML turns `version: 2.10` into the number 2.1. `Number` keeps the text that was written, so that a version
stays what its author wrote.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version
from pydantic import BeforeValidator, Field

_UNITS_S = {"us": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d)")


class Number(float):
    """A number read from YAML that remembers how it was written."""

    text: str

    @classmethod
    def of(cls, value: float, text: str) -> Number:
        number = cls(value)
        number.text = text
        return number


def duration_s(value: Any) -> Any:
    """Seconds from `90s`, `10m`, `1h30m`, `2d` or a plain number of seconds. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("a duration is a number of seconds or text such as 90s, 10m, 1h30m")
    if not isinstance(value, str):
        seconds = float(value)
    else:
        if value.lstrip().startswith("-"):
            raise ValueError(f"'{value}' is negative, and a duration can't be")
        parts = _DURATION.findall(value.replace(" ", ""))
        if not parts or "".join(n + unit for n, unit in parts) != value.replace(" ", ""):
            raise ValueError(f"'{value}' is not a duration; write 90s, 10m or 1h30m")
        seconds = sum(float(n) * _UNITS_S[unit] for n, unit in parts)
    if not 0 <= seconds < float("inf"):
        raise ValueError("a duration can't be negative or endless")
    return seconds


def version_text(value: Any) -> Any:
    """A version as the text that was written, numbers included."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


Seconds = Annotated[
    float, BeforeValidator(duration_s, json_schema_input_type=str | float), Field(examples=["90s", "10m"])
]
VersionText = Annotated[str, BeforeValidator(version_text, json_schema_input_type=str | float)]


@lru_cache(maxsize=65536)
def is_range(spec: str) -> bool:
    """Whether a required value is a version range (`>=2,<3`) and not an exact value (`minilm-384`)."""
    return spec.lstrip().startswith(("<", ">", "=", "!", "~"))


@lru_cache(maxsize=65536)
def satisfies(provided: str, spec: str) -> bool:
    """Whether a provided contract value satisfies a required one.

    Ranges follow PEP 440 (https://peps.python.org/pep-0440/#version-specifiers); other values match exactly.
    A value that is no version satisfies no range.
    """
    if not is_range(spec):
        return provided == spec
    try:
        return SpecifierSet(spec).contains(Version(provided), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return False


def range_mistake(spec: str) -> str | None:
    """What is wrong with a version range, or None."""
    if not is_range(spec):
        return None
    try:
        parts = SpecifierSet(spec)
    except InvalidSpecifier:
        return f"'{spec}' is not a version range; write for example \">=2,<3\""
    least = max(((Version(p.version), p.operator == ">") for p in parts if p.operator in (">", ">=")), default=None)
    most = min(((Version(p.version), p.operator != "<") for p in parts if p.operator in ("<", "<=")), default=None)
    if least and most and (least[0] > most[0] or (least[0] == most[0] and (least[1] or not most[1]))):
        return f"the range '{spec}' is empty, no version is in it; write for example \">=2,<3\""
    return None


def plain(number: float) -> str:
    """A number as a person writes it, never with an exponent."""
    return f"{Decimal(repr(float(number))):f}"
