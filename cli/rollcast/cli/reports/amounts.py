"""Numbers with their units, as every report writes them. The unit is in a metric's name: `_s`, `_usd`, `_tokens`."""

from __future__ import annotations

import math

UNKNOWN = "–"
_PERCENT = ("rate", "ratio", "share", "attainment", "slo", "probability", "hit")


def is_share(metric: str) -> bool:
    """Whether a metric is a part of one, shown in percent."""
    return any(metric == word or metric.endswith(f"_{word}") or f"_{word}_" in f"_{metric}_" for word in _PERCENT)


def amount(metric: str, value: float | None, *, signed: bool = False) -> str:
    """A value of a metric with the unit that its name says; `signed` for a difference."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "unbounded"
    if signed and value == 0:
        return "±0"
    text = _with_unit(metric, value, "+" if signed else "")
    # What rounds to nothing has no direction.
    return text if any(digit in text for digit in "123456789") else text.replace("-", "±").replace("+", "±")


def _with_unit(metric: str, value: float, sign: str) -> str:
    if metric.endswith("_s"):
        return latency(value, signed=bool(sign))
    if metric.endswith("_usd") or "_usd_" in metric:
        return f"{value:{sign}.4g} USD"
    if is_share(metric):
        return f"{value * 100:{sign}.2f} {'points' if sign else '%'}"
    return f"{value:{sign},.4f}" if abs(value) < 100 else f"{value:{sign},.0f}"


def between(metric: str, interval: tuple[float, float] | None, *, signed: bool = False) -> str:
    """An interval in words."""
    if interval is None:
        return UNKNOWN
    low, high = (amount(metric, value, signed=signed) for value in interval)
    if low == high == "±0":
        return low
    return f"{low} to {high}"


def latency(seconds: float, *, signed: bool = False) -> str:
    """A short time, in milliseconds below one second."""
    sign = "+" if signed else ""
    if seconds == 0 or abs(seconds) >= 1:
        return f"{seconds:{sign}.2f} s" if seconds else "0 s"
    return f"{seconds * 1000:{sign}.0f} ms" if abs(seconds) >= 0.1 else f"{seconds * 1000:{sign}.2f} ms"


def duration(seconds: float | None) -> str:
    """A long time in its two largest units: `35 s`, `12 min`, `3 h 20 min`, `2 d 4 h`."""
    if seconds is None or math.isnan(seconds):
        return UNKNOWN
    if math.isinf(seconds):
        return "for ever"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{whole} s"
    for name, size, lower, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            first, rest = divmod(whole, size)
            second = rest // part
            return f"{first} {name} {second} {lower}" if second else f"{first} {name}"
    return f"{whole} s"


def percent(share: float | None, digits: int = 0) -> str:
    """A part of one in percent; never rounded to certainty."""
    if share is None or math.isnan(share):
        return UNKNOWN
    edge = 10.0**-digits
    shown = share * 100
    if 0 < shown < edge / 2:
        return f"< {edge:g} %"
    if 100 - edge / 2 < shown < 100:
        return f"> {100 - edge:g} %"
    return f"{shown:.{digits}f} %"


def count(value: float) -> str:
    """A number of things, with thousands apart."""
    return f"{value:,.0f}"
