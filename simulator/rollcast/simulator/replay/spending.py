"""What the instances of a rollout cost from its start to its end, at the prices of its environment.

An instance is paid from the moment at which it begins to be made until it is gone; while one is overwritten, the dearer
of its two versions is. Guarantee: the reckoning follows the same operations, in the same times, as the replay does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rollcast.planner.capacity.prices import usd_per_hour
from rollcast.planner.plan.models import Operation, Plan, WorldState, fold

Instances = Mapping[str, tuple[str, str]]  # folder -> (release id, slot)
_HOUR_S = 3600.0


class Spending:
    """Dollars so far, in all (`usd`), and by the hour: at the moment, and at most until now."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._priced = bool(plan.settings.prices_usd_per_hour)
        self._state = WorldState(plan.start, plan.start_instances)
        self.usd = 0.0
        self.usd_per_hour = self.most_usd_per_hour = rate_of(plan, plan.start_instances)

    def work(self, operations: Iterable[Operation], seconds: float) -> None:
        """Operations are carried out in so many seconds: what they make and what they remove is paid until they are."""
        if not self._priced:
            return
        before = self._state.instances
        self._state = fold(self._state, (), operations)
        self._pay(self._dearest(before, self._state.instances), seconds)
        self.usd_per_hour = rate_of(self._plan, self._state.instances)

    def wait(self, seconds: float) -> None:
        """Nothing changes for so many seconds."""
        self._pay(self.usd_per_hour, seconds)

    def _pay(self, rate: float, seconds: float) -> None:
        self.usd += rate * seconds / _HOUR_S
        self.most_usd_per_hour = max(self.most_usd_per_hour, rate)

    def _dearest(self, before: Instances, after: Instances) -> float:
        both = {folder: (before.get(folder, used), used) for folder, used in {**before, **after}.items()}
        return sum(max(rate_of(self._plan, {folder: one}) for one in pair) for folder, pair in both.items())


def rate_of(plan: Plan, instances: Instances) -> float:
    """What these instances cost an hour."""
    return usd_per_hour((plan.releases[release].slots[slot] for release, slot in instances.values()), plan.settings)


__all__ = ["Spending", "rate_of"]
