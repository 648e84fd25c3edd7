"""Telemetry files: one JSON object a line, appended by the data plane; one file or all `*.jsonl` of a folder.

Read incrementally. A line without its end is left for the next read; a file that was truncated or replaced is read from
its beginning; a line that is no telemetry is counted and skipped. The cursor is file name -> [inode, offset].
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import Field

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetryBatch
from rollcast.stacks.telemetry.records import request_of

_MOST_BYTES = 8 * 1024 * 1024
_LONGEST_LINE = 1024 * 1024


class JsonLinesSettings(Settings):
    """Telemetry files."""

    path: str = Field(".rollcast/live/telemetry", description="a file, or a folder of *.jsonl, below the project")


class JsonLines:
    """A file or folder of telemetry."""

    settings_model = JsonLinesSettings

    knows_requests = True

    def __init__(self, settings: JsonLinesSettings, root: Path) -> None:
        self._path = root / settings.path

    def _files(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        return sorted(self._path.glob("*.jsonl")) if self._path.is_dir() else []

    def end(self) -> Cursor:
        cursor: Cursor = {}
        for file in self._files():
            status = file.stat()
            with file.open("rb") as lines:
                lines.seek(max(0, status.st_size - _LONGEST_LINE))
                tail = lines.read()
            unfinished = len(tail) - (tail.rfind(b"\n") + 1)
            cursor[file.name] = [status.st_ino, status.st_size - unfinished]
        return cursor

    def read(self, cursor: Cursor, until: Cursor | None = None) -> TelemetryBatch:
        batch = TelemetryBatch(cursor=dict(cursor))
        for file in self._files():
            try:
                self._read(file, batch, until)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StackError(f"{file} can't be read ({error.strerror}). Correct its permissions.") from None
        return batch

    def find(self, request: str) -> RequestRecord | None:
        wanted = (request.encode("utf-8", "replace"), json.dumps(request)[1:-1].encode())
        for file in self._files():
            with file.open("rb") as lines:
                for line in lines:
                    if any(text in line for text in wanted):
                        batch = TelemetryBatch()
                        self._take(line, batch)
                        found = [each for each in batch.requests if each.id == request and not each.label]
                        if found:
                            return found[0]
        return None

    def _read(self, file: Path, batch: TelemetryBatch, until: Cursor | None) -> None:
        with file.open("rb") as lines:
            status = file.stat()
            inode, offset = batch.cursor.get(file.name, [status.st_ino, 0])
            if inode != status.st_ino or offset > status.st_size:
                offset = 0
            lines.seek(offset)
            most = _MOST_BYTES if until is None else min(_MOST_BYTES, _end(until, file, inode) - offset)
            data = lines.read(max(most, 0))
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) >= _LONGEST_LINE:
            batch.unreadable += 1
            whole = len(data)
        for line in data[:whole].splitlines():
            self._take(line, batch)
        batch.cursor[file.name] = [status.st_ino, offset + whole]
        batch.more = batch.more or len(data) == _MOST_BYTES

    @staticmethod
    def _take(line: bytes, batch: TelemetryBatch) -> None:
        try:
            found = request_of(json.loads(line)) if line.strip() else None
        except (ValueError, RecursionError):
            found = None
        if found is not None:
            batch.requests.append(found)
        elif line.strip():
            batch.unreadable += 1


def _end(until: Cursor, file: Path, inode: int) -> int:
    """Where a cursor stands in a file; its beginning where the cursor is about another file of that name."""
    there, offset = until.get(file.name, [inode, 0])
    return int(offset) if there == inode else 0
