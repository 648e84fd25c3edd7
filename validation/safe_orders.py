"""Brute force: whether any order of safe states leads from what serves to what is declared.

Of one line, where some components exist once. A state is what each of these holds, and the release that serves: the
slots and upstreams of one of the two sides, each slot that runs side by side in its old or its new version. A step
changes what one component that exists once holds, or moves all traffic to another release; between two steps all
requests are drained, so that no request sees more than one state. A refusal is right where not even this leads there.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import Release, releases_of
from rollcast.policies.strategies import Transition
from tests.planner.every_state import Flight, Oracle

Held = tuple[tuple[str, int | None], ...]  # what exists once -> whose version it holds: old (0), new (1), none yet


@dataclass
class _World:
    """As much of a plan as the judge of a request reads."""

    releases: dict[str, Release]
    from_release: dict[str, str]
    to_release: dict[str, str]
    start: dict[str, Any] = field(default_factory=dict)
    start_instances: dict[str, Any] = field(default_factory=dict)
    reroutes: tuple[Any, ...] = ()


def an_order_is_safe(pair: Transition) -> bool:
    """Whether the last state can be reached from the first through safe ones. One pipeline without channels only."""
    (old,), (new,) = (list(releases_of(side).values()) for side in (pair.released, pair.declared))
    served = {release.id: release for release in mixes(old, new)}
    world = _World({old.id: old, new.id: new, **served}, {"default": old.id}, {"default": new.id})
    oracle = Oracle(cast(Plan, world))
    once = sorted({name for side in (old, new) for name, slot in side.slots.items() if slot.in_place})
    sides = (old, new)

    def safe(release: str, held: Held) -> bool:
        reached = frozenset((name, (sides[side].id, name)) for name, side in held if side is not None)
        there = {name for name, side in held if side is not None}
        slots = world.releases[release].slots
        if any(slot.in_place and name not in there for name, slot in slots.items()):
            return False
        reached = frozenset(each for each in reached if each[0] in slots)
        return not oracle._clash(Flight("default", release, reached))

    first = (old.id, tuple((name, 0 if name in old.slots else None) for name in once))
    seen, pending = {first}, [first]
    while pending:
        release, held = pending.pop()
        if release == new.id and all(side == 1 for name, side in held if name in new.slots):
            return True
        for state in _steps(release, held, served, sides):
            if state not in seen and safe(*state):
                seen.add(state)
                pending.append(state)
    return False


def mixes(old: Release, new: Release) -> Iterator[Release]:
    """Every release with the slots and upstreams of a side, and versions of either where both have the slot."""
    for shape, other in ((old, new), (new, old)):
        names = [name for name in shape.slots if name in other.slots and not shape.slots[name].in_place]
        for taken in itertools.product((False, True), repeat=len(names)):
            slots = dict(shape.slots)
            for name, swap in zip(names, taken, strict=True):
                if swap:
                    slots[name] = other.slots[name].model_copy(update={"upstream": shape.slots[name].upstream})
            yield shape.model_copy(update={"slots": slots}) if any(taken) else shape


def _steps(
    release: str, held: Held, served: Mapping[str, Release], sides: tuple[Release, Release]
) -> Iterator[tuple[str, Held]]:
    for other in served:
        yield other, held
    for place, (name, side) in enumerate(held):
        for to, one in enumerate(sides):
            if name in one.slots and to != side:
                yield release, (*held[:place], (name, to), *held[place + 1 :])
