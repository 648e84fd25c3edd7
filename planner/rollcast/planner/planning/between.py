"""Releases between the one that serves and the declared one: wiring and versions changed one after the other.

What exists once and must switch together with other slots has no safe moment of its own. Where its version and the
wiring need not change in one step, an order may be safe after all: through a release that has the wiring of one side
and, of some slots, the versions of the other. Whoever is served by it meets a declared wiring, and versions that are
declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollcast.planner.contracts.groups import changed_slots
from rollcast.planner.releases.releases import Release, SlotVersion

Releases = Mapping[str, Release]
MOST_WAYS = 4


def between(before: Releases, declared: Releases) -> Iterator[dict[str, Release]]:
    """What each line may be served in between, the likeliest first; lines that come from nothing go straight."""
    seen: list[dict[str, Release]] = []
    for new_wiring, only_once in ((True, True), (True, False), (False, True), (False, False)):
        found = {
            line: _mixed(before[line], release, new_wiring, only_once) if line in before else release
            for line, release in declared.items()
        }
        apart = [
            any(changed_slots(side[line].slots, found[line].slots) for line in declared if line in before)
            for side in (before, declared)
        ]
        if all(apart) and found not in seen:
            seen.append(found)
            yield found


def _mixed(old: Release, new: Release, new_wiring: bool, only_once: bool) -> Release:
    """A release with the wiring of a side, and the other side's versions of slots that are on both.

    only_once: of those slots alone that exist once. Flags that are switched off are off, others are as before.
    """
    shape, other = (new, old) if new_wiring else (old, new)
    slots: dict[str, SlotVersion] = {}
    for name, slot in shape.slots.items():
        theirs = other.slots.get(name)
        taken = theirs is not None and (not only_once or slot.in_place or theirs.in_place)
        slots[name] = theirs.model_copy(update={"upstream": slot.upstream}) if theirs is not None and taken else slot
    flags = {name: value for name, value in old.flags.items() if not value or new.flags.get(name)}
    return Release(pipeline=new.pipeline, slots=slots, flags=flags)


__all__ = ["MOST_WAYS", "between"]
