"""What a command saved as JSON, read back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rollcast.simulator.forecast import Forecast

_Saved = TypeVar("_Saved")


def read_saved(path: Path, parse: Callable[[Any], _Saved], what: str, command: str) -> _Saved:
    """The saved thing. Raises StackError: the file is not `what`, and `command` writes one."""
    import json

    from rollcast.stacks.errors import StackError
    from rollcast.stacks.project import read_text

    remedy = f"Save one with 'rollcast {command} --out FILE'."
    text = read_text(path, remedy, saved=True)
    try:
        return parse(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise StackError(f"{path} is not {what} ({first}). {remedy}") from None


def read_forecast(path: Path) -> Forecast:
    """A saved forecast. Raises StackError."""
    from rollcast.simulator.forecast import Forecast

    return read_saved(path, Forecast.from_json, "a forecast", "simulate")


__all__ = ["read_forecast", "read_saved"]
