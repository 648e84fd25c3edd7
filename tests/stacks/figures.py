"""How long one command takes to roll back, printed at the end of `pytest tests/stacks`."""

from __future__ import annotations

ROLLBACKS_S: list[float] = []  # from the command to the last request that the release which was left has served
