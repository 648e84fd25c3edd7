"""A telemetry record, as JSON or as a row, to a `RequestRecord`. What can't be one is refused, never guessed.

Whatever a record holds, `request_of` answers: a line that somebody wrote ends no process. A time without a zone is UTC,
as it is in recorded traffic and for `audit --at`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from rollcast.planner.base.keys import key_of, well_formed
from rollcast.stacks.telemetry import RequestRecord

_ABOUT = {
    "time",
    "request",
    "key",
    "channel",
    "release",
    "components",
    "attributes",
    "label",
    "label_for",
    "replica",
    "exposure",
}
_MODEL = "gen_ai.response.model"  # of OpenTelemetry's semantic conventions for generative AI
_LARGEST = 1e12
_written_out = json.JSONEncoder(ensure_ascii=False, default=str).encode


def request_of(data: Any) -> RequestRecord | None:
    """The request of a record; None where it is no telemetry.

    `{"time": seconds or ISO 8601, "request": id, "key": …, "release": …, "components": {…}, "<field>": number or
    boolean, …}`. A record with `label_for: <request id>` is a delayed judgement of that request; one with
    `exposure: true` says that the request entered (`time`): without an outcome after its timeout it is a failure. Keys
    and ids of requests are any scalar (see `planner.keys`); a record whose key can't be one is no telemetry.
    """
    if not isinstance(data, Mapping):
        return None
    try:
        found = _request(data)
    except (ValueError, OverflowError, RecursionError):
        return None
    return found if found is not None and _written(found) else None


def _request(data: Mapping[str, Any]) -> RequestRecord | None:
    time_s = _time(data.get("time"))
    label_for = key_of(data.get("label_for"))
    name = label_for or key_of(data.get("request"))
    if time_s is None or not name:
        return None
    release = data.get("release")
    components, attributes = data.get("components"), data.get("attributes")
    return RequestRecord(
        id=name,
        time_s=time_s,
        key=key_of(data.get("key")),
        channel=str(data.get("channel") or "default"),
        release=release if isinstance(release, str) else None,
        components=dict(components) if isinstance(components, Mapping) and components else None,
        attributes=dict(attributes) if isinstance(attributes, Mapping) else {},
        values={name: number for name, value in data.items() if (number := _number(name, value)) is not None},
        label=bool(label_for),
        exposure=data.get("exposure") is True and not label_for,
        replica=replica if isinstance(replica := data.get("replica"), str) else None,
        served_by=_served_by(data),
        texts={name: text for name, text in data.items() if _is_text(name, text)},
    )


def _is_text(name: str, value: Any) -> bool:
    return name not in _ABOUT and isinstance(value, str) and well_formed(value) and well_formed(name)


def _served_by(data: Mapping[str, Any]) -> dict[str, str]:
    """What hosted models' answers named themselves: by slot under `served_by`, else one for the whole request."""
    said = data.get("served_by")
    if isinstance(said, Mapping):
        return {str(slot): model for slot, model in said.items() if isinstance(model, str) and model}
    attributes = data.get("attributes")
    spans = attributes if isinstance(attributes, Mapping) else {}
    for one in (said, data.get("response_model"), data.get(_MODEL), spans.get(_MODEL)):
        if isinstance(one, str) and one:
            return {"": one}
    return {}


def _number(name: str, value: Any) -> float | None:
    if name in _ABOUT or not isinstance(value, bool | int | float | Decimal):
        return None
    number = float(value)
    if not math.isfinite(number) or abs(number) > _LARGEST or (number < 0 and name.endswith(("_s", "_usd", "_tokens"))):
        return None
    return number


def _time(value: Any) -> float | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        return None
    return float(value)


def _written(request: RequestRecord) -> bool:
    """Whether all text of a request can be written down again: in the ledger, in a report, on a terminal."""
    plain: Iterable[str] = (request.id, request.key, request.channel, request.release or "", *request.values)
    nested = [part for part in (request.components, request.attributes, request.served_by) if part]
    text = "".join(plain) + (_written_out(nested) if nested else "")
    return text.isascii() or well_formed(text)
