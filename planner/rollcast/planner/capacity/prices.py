"""What instances cost while they are there, at the prices of an environment."""

from __future__ import annotations

from collections.abc import Iterable

from rollcast.planner.capacity.fit import need_of
from rollcast.planner.declaration.models import Environment
from rollcast.planner.releases.releases import SlotVersion


def usd_per_hour(slots: Iterable[SlotVersion], environment: Environment) -> float:
    """What all replicas of these instances take, in every region where they are, at the declared prices.

    What has no price costs nothing. Where no region is declared, the whole environment is one.
    """
    need = need_of(slots, environment)
    places = tuple(environment.regions) or ("",)
    each = (float(need[place, name]) * usd for name, usd in environment.prices_usd_per_hour.items() for place in places)
    return sum(each, 0.0)


def unneeded(slots: Iterable[SlotVersion], environment: Environment) -> list[str]:
    """Resources that have a price and that none of these instances takes."""
    taken = {name for slot in slots for name, amount in slot.demand.items() if amount > 0}
    return sorted(set(environment.prices_usd_per_hour) - taken)
