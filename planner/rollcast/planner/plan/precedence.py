"""Which operation of a milestone is surely done before another one begins."""

from __future__ import annotations

from collections.abc import Sequence

from rollcast.planner.plan.models import Operation


class Precedence:
    """The order that `after` gives within one milestone; operations of no order may run in any order, or at once."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        known = {operation.id for operation in operations}
        self._after = {o.id: [name for name in o.after if name in known] for o in operations}
        self._above: dict[str, frozenset[str]] = {}

    def before(self, first: str, then: str) -> bool:
        """Whether `first` is done before `then` begins."""
        return first in self.above(then)

    def above(self, operation: str) -> frozenset[str]:
        """Every operation that is done before this one begins. Operations that wait in a circle are cut once."""
        if operation not in self._above:
            found: set[str] = set()
            pending = list(self._after[operation])
            while pending:
                name = pending.pop()
                if name not in found:
                    found.add(name)
                    pending.extend(self._after[name])
            self._above[operation] = frozenset(found)
        return self._above[operation]


__all__ = ["Precedence"]
