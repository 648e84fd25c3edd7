"""A telemetry record, as JSON or as a row, to a `Request`. What can't be one is refused, never guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rollcast.stacks.metrics import Request

_ABOUT = {"time", "request", "key", "channel", "release", "components", "attributes", "label", "label_for"}
_LARGEST = 1e12


def request_of(data: Any) -> Request | None:
    """The request of a record; None where it is no telemetry.

    `{"time": seconds or ISO 8601, "request": id, "key": …, "release": …, "components": {…}, "<field>": number or
    boolean, …}`. A record with `label_for: <request id>` is a delayed judgement of that request.
    """
    if not isinstance(data, Mapping):
        return None
    time_s = _time(data.get("time"))
    label_for = data.get("label_for")
    name = label_for or data.get("request")
    if time_s is None or not isinstance(name, str) or not name:
        return None
    release, key = data.get("release"), data.get("key")
    components, attributes = data.get("components"), data.get("attributes")
    return Request(
        id=name,
        time_s=time_s,
        key=key if isinstance(key, str) else "",
        channel=str(data.get("channel") or "default"),
        release=release if isinstance(release, str) else None,
        components=dict(components) if isinstance(components, Mapping) and components else None,
        attributes=dict(attributes) if isinstance(attributes, Mapping) else {},
        values={name: number for name, value in data.items() if (number := _number(name, value)) is not None},
        label=bool(label_for),
    )


def _number(name: str, value: Any) -> float | None:
    if name in _ABOUT or not isinstance(value, bool | int | float):
        return None
    number = float(value)
    if not math.isfinite(number) or abs(number) > _LARGEST or (number < 0 and name.endswith(("_s", "_usd", "_tokens"))):
        return None
    return number


def _time(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value).timestamp()
        except (ValueError, OverflowError):
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
