"""One outcome for each request (spec T): a JSON line in the form that rollcast reads, and attributes of OpenTelemetry.

A line is written with one append, so the processes of a machine may share a file. OpenTelemetry is used where the
service has imported it, and never imported for it.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "requests.jsonl"
_GEN_AI = {  # outcome -> the attribute of OpenTelemetry's semantic conventions for generative AI
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "operation": "gen_ai.operation.name",
}
_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode


class OutcomeLog:
    """Appends outcomes to `requests.jsonl` of a folder; without a folder they go to OpenTelemetry alone."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder else None
        self._handle = -1
        self.failed: str | None = None

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a record. Where that fails the request is served all the same, and `failed` says why."""
        if self._path is None:
            return
        try:
            if self._handle < 0:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(self._handle, (_encode(record) + "\n").encode())
            self.failed = None
        except (OSError, ValueError, TypeError, RecursionError) as error:
            self.failed = f"outcomes can't be written to {self._path} ({error})"

    def reopen(self) -> None:
        """After the file was moved away (rotation), the next record begins a new one."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def rotated(self) -> bool:
        """Whether the file that is open is no longer the one of its name."""
        if self._handle < 0 or self._path is None:
            return False
        try:
            return os.fstat(self._handle).st_ino != self._path.stat().st_ino
        except OSError:
            return True


def usable(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Outcome fields as JSON can hold them: a number that is none is left out."""
    return {k: v for k, v in fields.items() if not (isinstance(v, float) and not math.isfinite(v))}


def tag_span(attributes: Mapping[str, Any]) -> None:
    """Sets attributes on the span that is current, where the service traces."""
    trace = sys.modules.get("opentelemetry.trace")
    span = trace.get_current_span() if trace else None
    if span is not None and span.is_recording():
        for name, value in attributes.items():
            if isinstance(value, str | bool | int | float):
                span.set_attribute(name, value)


def gen_ai(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of the semantic conventions that outcome fields have, and `rollcast.<field>` for all others."""
    return {_GEN_AI.get(name, f"rollcast.outcome.{name}"): value for name, value in fields.items()}
