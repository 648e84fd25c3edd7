"""Whether what serves together may, read off the declared contracts once more, without the planner's contract graph.

Weaker than the planner's own definition (which resolves each requirement to the nearest slot that provides it), so what
is found here is wrong by any reading: a requirement that no release satisfies, or two neighbours of different
generations about which nothing is declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from rollcast.planner.base.values import satisfies
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import SlotVersion

Slots = Mapping[str, SlotVersion]


def mixed(plan: Plan) -> Iterator[str]:
    """What does not fit together within some release that the plan brings to a track."""
    yield from _read_otherwise(plan)
    reported: set[str] = set()
    for milestone in plan.milestones:
        for track, shares in milestone.serving.items():
            source, target = plan.ends_of(track)
            before = plan.releases[source].slots if source else {}
            after = plan.releases[target].slots if target else {}
            for share in shares:
                if share.release not in reported:
                    reported.add(share.release)
                    slots = plan.releases[share.release].slots
                    yield from (f"{share.release}: {what}" for what in _unmet(slots))
                    yield from (f"{share.release}: {what}" for what in _generations(slots, before, after))


def _read_otherwise(plan: Plan) -> Iterator[str]:
    """Pairs of a provided and a required value, of any two releases, that the planner reads otherwise."""
    slots = [slot for release in plan.releases.values() for slot in release.slots.values()]
    offers = {(contract, value) for slot in slots for contract, value in slot.provides.items()}
    wanted = {(contract, requirement.value) for slot in slots for contract, requirement in slot.requires.items()}
    for contract, value in sorted(wanted):
        for other, offer in sorted(offers):
            if contract == other and satisfies(offer, value) != _satisfies(offer, value):
                yield f"the planner takes {contract} {offer} {'not ' * _satisfies(offer, value)}to satisfy {value}."


def _unmet(slots: Slots) -> Iterator[str]:
    for name, slot in slots.items():
        for contract, wanted in slot.requires.items():
            offers = [other.provides[contract] for key, other in slots.items()
                      if contract in other.provides and wanted.of in (None, key) and key != name]  # fmt: skip
            if contract != "session-state" and not any(_satisfies(offer, wanted.value) for offer in offers):
                yield f"{name} requires {contract} {wanted.value}, and what is there provides {offers or 'none'}."


def _satisfies(offer: str, wanted: str) -> bool:
    if wanted[:1] not in "<>=!~":
        return offer == wanted
    try:
        return Version(offer) in SpecifierSet(wanted, prereleases=True)
    except InvalidVersion:
        return False


def _generations(slots: Slots, before: Slots, after: Slots) -> Iterator[str]:
    """Neighbours about which nothing is declared come both from what was, or both from what is to be."""
    for name, slot in slots.items():
        for up in slot.upstream:
            if up not in slots or _declared(up, name, before) or _declared(up, name, after):
                continue
            sides = [side for side in (before, after) if up in side and name in side]
            if sides and not any(_same(side[up], slots[up]) and _same(side[name], slot) for side in sides):
                yield f"{up} and {name} are of two generations, and no contract between them is declared."


def _declared(up: str, name: str, slots: Slots) -> bool:
    """Whether one of two neighbours says anything of the other."""
    if up not in slots or name not in slots:
        return False
    if up in slots[name].independent_of or name in slots[up].independent_of:
        return True
    for one, other in ((up, name), (name, up)):
        for contract, wanted in slots[one].requires.items():
            if wanted.of == other or (wanted.of is None and contract in slots[other].provides):
                return True
    return False


def _same(one: SlotVersion, other: SlotVersion) -> bool:
    return (one.reference, one.digest, one.parameters) == (other.reference, other.digest, other.parameters)
