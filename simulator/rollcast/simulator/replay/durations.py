"""How long the operations of a milestone take: the longest way through their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollcast.planner.base.wording import some_of
from rollcast.planner.plan.models import Operation, Plan
from rollcast.simulator.stations.profiles import profile_of


class OperationTimes:
    """Times of operations, from profiles and declared waits. What is not declared takes no time, and is said."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.undeclared: set[str] = set()

    def of(self, operations: Sequence[Operation]) -> float:
        """Seconds that a milestone's operations take, carried out as early as their order allows."""
        ends: dict[str, float] = {}
        for operation in _in_order(operations):
            start = max((ends[before] for before in operation.after if before in ends), default=0.0)
            ends[operation.id] = start + self._one(operation)
        return max(ends.values(), default=0.0)

    def _one(self, operation: Operation) -> float:
        if operation.kind == "drain":
            return operation.wait_s
        if operation.kind not in ("provision", "warm") or operation.release is None or operation.component is None:
            return 0.0
        version = self.plan.releases[operation.release].slots.get(operation.component)
        profile = profile_of(version.artifact) if version is not None else None
        if profile is None or version is None:
            return 0.0
        took_s = profile.start_s if operation.kind == "provision" else profile.warm_s
        if operation.kind == "provision" and took_s == 0:
            self.undeclared.add(version.reference)
        return took_s

    def assumptions(self) -> list[str]:
        """What these times rest on."""
        said = ["shifts and retirements take no time, drains exactly their declared wait; evaluations pass at once"]
        late = self.plan.settings.propagation
        if late is not None:
            said = [
                f"each of {late.replicas} replicas follows a shift after a delay of its own, p50 {late.p50:g} s and "
                f"p99 {late.p99:g} s; a stage begins when all have; retirements take no time, drains exactly their "
                "declared wait; evaluations pass at once"
            ]
        if self.undeclared:
            said.append(f"no 'start_s' in the profile of {some_of(sorted(self.undeclared))}: they start at once")
        return said


def _in_order(operations: Sequence[Operation]) -> list[Operation]:
    """Operations with each one after those that it waits for."""
    waiting: Mapping[str, Operation] = {operation.id: operation for operation in operations}
    found: dict[str, Operation] = {}

    def place(operation: Operation) -> None:
        if operation.id in found:
            return
        for before in operation.after:
            if before in waiting:
                place(waiting[before])
        found[operation.id] = operation

    for operation in operations:
        place(operation)
    return list(found.values())
