"""`kind: csv`: outcomes as lines of a table, `time,request,key,release,latency_s,error`; the cursor counts lines."""

from __future__ import annotations

import csv
from pathlib import Path

from rollcast.plugins.settings import Settings
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetryBatch
from rollcast.stacks.telemetry.records import request_of

COLUMNS = ("time", "request", "key", "release", "latency_s", "error")


class CsvSettings(Settings):
    """One table."""

    table: str
    delimiter: str = ","


class Csv:
    """A table of outcomes."""

    settings_model = CsvSettings
    knows_requests = True

    def __init__(self, settings: CsvSettings, root: Path) -> None:
        self._path, self._delimiter = root / settings.table, settings.delimiter

    def _lines(self) -> list[str]:
        text = self._path.read_text("utf-8") if self._path.exists() else ""
        return text[: text.rfind("\n") + 1].splitlines()

    def end(self) -> Cursor:
        return {"lines": len(self._lines())}

    def read(self, cursor: Cursor, until: Cursor | None = None) -> TelemetryBatch:
        lines = self._lines()
        end = min(len(lines), until["lines"]) if until is not None else len(lines)
        batch = TelemetryBatch(cursor={"lines": max(end, cursor.get("lines", 0))})
        for line in lines[cursor.get("lines", 0) : end]:
            found = self._request(line)
            if found is None:
                batch.unreadable += 1
            else:
                batch.requests.append(found)
        return batch

    def find(self, request: str) -> RequestRecord | None:
        return next((one for one in self.read({}).requests if one.id == request), None)

    def _request(self, line: str) -> RequestRecord | None:
        values = next(csv.reader([line], delimiter=self._delimiter))
        if len(values) != len(COLUMNS):
            return None
        row = dict(zip(COLUMNS, values, strict=True))
        try:
            numbers = {"time": float(row["time"]), "latency_s": float(row["latency_s"]), "error": row["error"] == "1"}
        except ValueError:
            return None
        return request_of({**row, **numbers})
