"""Capacity: what a set of instances needs, and whether it fits the environment and each of its regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rollcast.planner.declaration.models import Environment
from rollcast.planner.releases.releases import SlotVersion

Need = Counter[tuple[str, str]]  # (region or "" for the whole environment, resource) -> amount


def need_of(slots: Iterable[SlotVersion], environment: Environment) -> Need:
    """What instances need together. One that names no region takes its part in every region."""
    need: Need = Counter()
    for slot in slots:
        for resource, amount in slot.demand.items():
            need["", resource] += amount  # type: ignore[assignment]
            for region in slot.regions or environment.regions:
                need[region, resource] += amount  # type: ignore[assignment]
    return need


def limits_of(environment: Environment) -> Need:
    """Declared capacity. What is not declared is not limited."""
    limits: Need = Counter()
    for resource, amount in environment.capacity.items():
        limits["", resource] = amount  # type: ignore[assignment]
    for name, region in environment.regions.items():
        for resource, amount in region.capacity.items():
            limits[name, resource] = amount  # type: ignore[assignment]
    return limits


def excess(need: Need, limits: Need) -> list[tuple[str, str, float, float]]:
    """(region, resource, needed, there is) of everything that does not fit."""
    return [
        (region, resource, float(need[region, resource]), float(limit))
        for (region, resource), limit in sorted(limits.items())
        if need[region, resource] > limit + 1e-9
    ]


def sentence(over: list[tuple[str, str, float, float]]) -> str:
    """What is missing, where and by how much."""
    parts = []
    for region, resource, needed, there_is in over:
        where = f" in region {region}" if region else ""
        parts.append(f"{needed:g} {resource} needed{where}, {there_is:g} declared: {needed - there_is:g} missing")
    return "; ".join(parts)
