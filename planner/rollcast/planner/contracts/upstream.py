"""The order of a few slots of a pipeline: for each, its nearest upstream slots among them, transitively reduced."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from rollcast.planner.contracts.edges import Slots
from rollcast.planner.contracts.groups import flow_order


@dataclass(frozen=True, slots=True)
class Upstream:
    """`order`: chosen slots in data-flow order. `of`: the nearest chosen upstream of each; `above`: all of them."""

    order: list[str]
    of: dict[str, list[str]]
    above: dict[str, set[str]]


def nearest_upstream(slots: Slots, chosen: Set[str]) -> Upstream:
    """For each slot its nearest chosen upstream slots, none of them upstream of another."""
    places = flow_order(slots)
    nearest: dict[str, set[str]] = {}
    above: dict[str, set[str]] = {}  # every chosen slot upstream of a slot
    for name in sorted(places, key=places.__getitem__):
        found: set[str] = set()
        every: set[str] = set()
        for up in slots[name].upstream:
            if up not in slots:
                continue
            every |= above[up] | ({up} if up in chosen else set())
            found |= {up} if up in chosen else nearest[up]
        nearest[name] = {one for one in found if not any(one in above[other] for other in found)}
        above[name] = every
    order = [name for name in sorted(places, key=places.__getitem__) if name in chosen]
    return Upstream(order, {name: sorted(nearest[name], key=places.__getitem__) for name in order}, above)
