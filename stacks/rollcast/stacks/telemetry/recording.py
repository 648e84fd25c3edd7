"""Production requests as a dataset: a sample of each segment, users unknowable, and only what was named.

A user's key becomes an HMAC of it, so that one user stays one user and nobody can be found again without the secret.
With no secret given, one is made and forgotten: keys of two recordings can't be joined then. Attributes are left out
but for those that are named. Texts of requests are left out but for those that a declaration allows, and these go
through the project's own redaction first.
"""

from __future__ import annotations

import hashlib
import heapq
import hmac
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetrySource

_SECRET_BYTES = 16


def record_requests(
    source: TelemetrySource,
    *,
    attributes: Collection[str],
    segment: str = "segment",
    per_segment: int | None = None,
    since_s: float = 0.0,
    until_s: float = float("inf"),
    secret: str = "",
    redact: Callable[[Sequence[Mapping[str, str]]], Sequence[Mapping[str, str]]] | None = None,
) -> list[dict[str, Any]]:
    """Telemetry records of a sample, in order of time, delayed judgements joined to their requests.

    per_segment: the most of each value of the attribute `segment`; each request is as likely as any other of it, and
    the same secret draws the same ones. redact: what may be kept of the texts of each; None for none. Raises
    StackError: there is none, or a secret too short to hide a key.
    """
    if secret and len(secret.encode()) < _SECRET_BYTES:
        raise StackError(f"ROLLCAST_RECORD_SECRET has less than {_SECRET_BYTES} bytes. Make it longer.")
    pseudonyms = hmac.new(secret.encode() or secrets.token_bytes(32), digestmod=hashlib.sha256)

    def hidden(kind: str, text: str) -> str:
        own = pseudonyms.copy()
        own.update(f"{kind}\0{text}".encode("utf-8", "surrogatepass"))
        return own.hexdigest()[:32]

    found: dict[str, RequestRecord] = {}
    late: dict[str, dict[str, float]] = {}
    cursor, end = Cursor(), source.end()
    while True:
        batch = source.read(cursor, end)
        for one in batch.requests:
            if one.label:
                late.setdefault(one.id, {}).update(one.values)
            elif since_s <= one.time_s < until_s:
                found[one.id] = one
        if batch.cursor == cursor or not (batch.requests or batch.more):
            break
        cursor = batch.cursor
    if not found:
        raise StackError("Telemetry holds no request of that time. Correct --since and --until, or record later.")
    chosen: dict[str, list[tuple[str, str]]] = {}
    for name, one in found.items():
        chosen.setdefault(str(one.attributes.get(segment, "")), []).append((hidden("draw", name), name))
    names = {
        name
        for drawn in chosen.values()
        for _, name in (drawn if per_segment is None else heapq.nsmallest(per_segment, drawn))
    }
    kept = {name: found[name].texts for name in sorted(names)}
    texts = dict(zip(kept, redact(list(kept.values())), strict=True)) if redact is not None else {}
    rows = [
        {
            "time": one.time_s,
            "request": hidden("request", name),
            "key": hidden("key", one.key) if one.key else "",
            "channel": one.channel,
            "release": one.release,
            "attributes": {k: v for k, v in one.attributes.items() if k in attributes},
            **one.values,
            **late.get(name, {}),
            **({"texts": dict(texts[name])} if texts.get(name) else {}),
        }
        for name, one in found.items()
        if name in names
    ]
    return sorted(rows, key=lambda row: (row["time"], row["request"]))


__all__ = ["record_requests"]
