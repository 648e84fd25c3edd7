"""Diagnostics: the standard library's logging on standard error, off by default.

`--debug` shows the path that each decision took; `ROLLCAST_LOG=info` (debug, info, warning, error) the same by level.
What a user must know is never only here: results and errors have words of their own.
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime

LEVEL = "ROLLCAST_LOG"
_LEVELS = ("debug", "info", "warning", "error")


class _Line(logging.Formatter):
    """Time in UTC, level, the module that speaks, and what it says, on one line."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - its name there
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", "\\n")


def configure(debug: bool) -> None:
    """Sets what is shown. Raises StackError for a level that does not exist."""
    level = os.environ.get(LEVEL, "").strip().lower()
    if level and level not in _LEVELS:
        from rollcast.stacks.base.errors import StackError

        raise StackError(f"{LEVEL} is '{level}'. Set it to {', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}.")
    logger = logging.getLogger("rollcast")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.propagate = False
    if not debug and not level:
        logger.addHandler(logging.NullHandler())
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if debug else level.upper())
