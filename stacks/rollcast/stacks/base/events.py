"""How a driver tells what it does: one JSON object for each event, with its kind under `event`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Emit = Callable[[Mapping[str, Any]], None]
