"""The world on its way through a plan: what serves, what exists, and what may have served requests in flight.

For every release of a track the world keeps which contents of the slots that exist once may have served its requests.
Every change is in a journal, so that a rollback can be tried and taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollcast.planner.capacity.fit import limits_of, need_of
from rollcast.planner.plan.models import Plan
from rollcast.planner.safety.compatibility import Compatibility, Content

Contents = frozenset[Content]
Reached = dict[str, Contents]  # folder of a slot that exists once -> contents that may have served a request there
_MISSING = object()


@dataclass(frozen=True, slots=True)
class InvariantViolation:
    """An invariant that a plan breaks, and where."""

    invariant: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.where}: {self.what}"


class ClusterState:
    """A state of the world, or, after a step that may be half done, the worst of several.

    `routed`: track -> releases that it may send requests to. `instances`: folder -> what it may hold; of those in
    `unsure` it is not sure that they exist. `hollow`: whether a track may serve nothing, so that others serve its
    requests; of tracks whose residency depends on it. `flying`: track -> release -> what its requests in flight may
    have reached.
    """

    def __init__(self, plan: Plan, compatibility: Compatibility) -> None:
        self.plan, self.compatibility = plan, compatibility
        self.routed: dict[str, frozenset[str]] = {
            track: frozenset(share.release for share in shares) for track, shares in plan.start.items()
        }
        self.instances: dict[str, Contents] = {
            folder: frozenset([(owner, slot)]) for folder, (owner, slot) in plan.start_instances.items()
        }
        self.unsure: dict[str, bool] = {}
        self.hollow: dict[str, bool] = {track: not plan.start.get(track) for track in compatibility.takers}
        self.limits = limits_of(plan.settings)
        held = [compatibility.content(one) for found in self.instances.values() for one in found] if self.limits else []
        self.need = need_of(held, plan.settings)
        self.flying: dict[str, dict[str, Reached]] = {
            track: {release: self.enter(release, {}) for release in releases} for track, releases in self.routed.items()
        }
        self._journal: list[tuple[dict[Any, Any], Any, Any]] = []

    def enter(self, release: str, swapped: Mapping[str, Contents]) -> Reached:
        """What a request of this release that begins now may reach; `swapped` where this step changes it."""
        once = self.compatibility.once(release)
        return {folder: swapped.get(folder, self.instances.get(folder, frozenset())) for folder in once}

    def mark(self) -> int:
        """A point to come back to."""
        return len(self._journal)

    def undo(self, mark: int) -> None:
        """Back to a point."""
        while len(self._journal) > mark:
            table, key, value = self._journal.pop()
            if value is _MISSING:
                table.pop(key, None)
            else:
                table[key] = value

    def put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """Set an entry of one of the tables above, so that it can be undone."""
        self._journal.append((table, key, table.get(key, _MISSING)))
        table[key] = value

    def remove(self, table: dict[Any, Any], key: Any) -> None:
        """Remove an entry of one of the tables above, so that it can be undone."""
        if key in table:
            self._journal.append((table, key, table.pop(key)))


__all__ = ["ClusterState", "Contents", "InvariantViolation", "Reached"]
