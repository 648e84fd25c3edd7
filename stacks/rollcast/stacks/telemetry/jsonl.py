"""Telemetry files: one JSON object a line, appended by the data plane; one file or all `*.jsonl` of a folder.

Read incrementally, and what several files brought is put in order of time. A line without its end is left for the
next read; a line that is no telemetry is counted and skipped. The cursor is file name -> [inode, offset, mark], the
mark being a digest of what stands before the offset. By it a file is known again that was renamed, copied or replaced
by a copy of itself (rsync), and is read on; what was truncated or is another file is read from its beginning.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

from pydantic import Field

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.telemetry import Cursor, RequestRecord, TelemetryBatch
from rollcast.stacks.telemetry.records import request_of

_MOST_BYTES = 8 * 1024 * 1024
_LONGEST_LINE = 1024 * 1024
_MARKED = 256


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
                offset = status.st_size - unfinished
                cursor[file.name] = [status.st_ino, offset, _mark(lines, offset)]
        return cursor

    def read(self, cursor: Cursor, until: Cursor | None = None) -> TelemetryBatch:
        batch = TelemetryBatch(cursor=dict(cursor))
        for file in self._files():
            try:
                self._read(file, batch, cursor, until)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StackError(f"{file} can't be read ({error.strerror}). Correct its permissions.") from None
        batch.requests.sort(key=lambda request: request.time_s)
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

    def _read(self, file: Path, batch: TelemetryBatch, cursor: Cursor, until: Cursor | None) -> None:
        with file.open("rb") as lines:
            status = os.fstat(lines.fileno())
            offset = _known(cursor, file.name, status, lines)
            most = _MOST_BYTES
            if until is not None:
                most = min(most, _known(until, file.name, status, lines) - offset)
            lines.seek(offset)
            data = lines.read(max(most, 0))
            whole = data.rfind(b"\n") + 1
            if not whole and len(data) >= _LONGEST_LINE:
                batch.unreadable += 1
                whole = len(data)
            batch.cursor[file.name] = [status.st_ino, offset + whole, _mark(lines, offset + whole)]
        for line in data[:whole].splitlines():
            self._take(line, batch)
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


def _mark(lines: BinaryIO, offset: int) -> str:
    """A digest of the bytes just before an offset."""
    lines.seek(max(0, offset - _MARKED))
    return hashlib.sha256(lines.read(min(_MARKED, offset))).hexdigest()[:16]


def _known(cursor: Cursor, name: str, status: os.stat_result, lines: BinaryIO) -> int:
    """How much of a file a cursor knows, under this name or another one; 0 where it is new to it."""
    own = cursor.get(name)
    if own is not None and own[0] == status.st_ino and len(own) == 2:
        return int(own[1]) if own[1] <= status.st_size else 0  # of a version that kept no mark
    fitting = [entry for entry in cursor.values() if len(entry) == 3 and 0 < entry[1] <= status.st_size]
    fitting.sort(key=lambda entry: entry[1], reverse=True)  # a file without anything new is known by its first one
    return next((int(offset) for _, offset, mark in fitting if _mark(lines, offset) == mark), 0)
