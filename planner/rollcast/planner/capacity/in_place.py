"""In place for lack of room: a component that can run twice is overwritten where both its versions don't fit.

Only what is overwritten as a whole can be: one folder holds one version, so every track that uses the old version must
go to the same new one. The new version then takes over the old one's folder (`held_in`). Everything else follows from
the slot being one that exists once: its place in the order, drains, groups, and a rollback that overwrites it again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count

from rollcast.planner.base.errors import CapacityError, NoSafeOrder
from rollcast.planner.contracts.groups import Node
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.releases.releases import Release

Releases = Mapping[str, Release]
Chosen = dict[Node, str]  # (pipeline, slot) that changes in place -> why: what is missing for both versions
PAUSE = "'rollout: {maintenance_pause: true}'"
Attempt = Callable[[LiveState, Releases, Chosen], Plan]


def apart(live: LiveState, declared: Releases) -> Releases:
    """The declared releases; what would run in a folder that another version has taken over gets one of its own."""
    if not any(slot.held_in for release in live.releases.values() for slot in release.slots.values()):
        return declared
    found: dict[str, Release] = {}
    for track, release in declared.items():
        found[track] = release
        for slot, folder in release.folders.items():
            held = live.instances.get(folder)
            if held is None or release.slots[slot].in_place:
                continue
            if live.releases[held[0]].slots[held[1]].instance_id != release.slots[slot].instance_id:
                free = next(name for n in count(2) if (name := f"{folder}.{n}") not in live.instances)
                found[track] = _held(found[track], slot, free, in_place=False)
    return found


def with_room(live: LiveState, declared: Releases, came_from: Releases, attempt: Attempt) -> Plan:
    """The plan of `attempt`; with as few slots in place as its capacity needs, where it has no room otherwise.

    `came_from` is the release that each track comes from. Raises what `attempt` raises; of a lack of room, the first,
    with the reasons why it can't be helped in place.
    """
    chosen: Chosen = {}
    try:
        return attempt(live, declared, chosen)
    except CapacityError as error:
        first = lacking = error
    while True:
        found = None
        reasons = []
        for node in _largest_first(lacking, declared, chosen):
            folders = _takes_over(live, declared, came_from, node)
            if isinstance(folders, str):
                reasons.append(folders)
                continue
            tried = {**chosen, node: lacking.missing}
            changed = _overwriting(live, declared, node, folders)
            try:
                return attempt(*changed, tried)
            except NoSafeOrder as error:
                unless = f", unless {PAUSE} is declared" if PAUSE in error.remedy else ""
                reasons.append(f"in place, {error.problem}{unless}.")
            except CapacityError as error:
                if (error.missing, error.slots) != (lacking.missing, lacking.slots):
                    found = (*changed, tried, error)
                    break
                reasons.append(f"{node[1]} does not fit in place of its old version either.")
        if found is None:
            raise first.because(reasons) from None
        live, declared, chosen, lacking = found


def _largest_first(error: CapacityError, declared: Releases, chosen: Chosen) -> list[Node]:
    """Slots of the step that has no room, those that need most first."""
    needs: dict[Node, float] = {}
    for track, slot in error.slots:
        version = declared[track].slots.get(slot)
        node = (declared[track].pipeline, slot)
        if version is not None and not version.shared and version.demand and node not in chosen:
            needs[node] = max(needs.get(node, 0.0), sum(version.demand.values()))
    return sorted(needs, key=lambda node: (-needs[node], node))


def _takes_over(live: LiveState, declared: Releases, came_from: Releases, node: Node) -> dict[str, str] | str:
    """Track -> folder of the old version, which its new one takes over; or why that can't be."""
    pipeline, slot = node
    takes: dict[str, str] = {}
    pairs: set[tuple[str, str]] = set()
    for track, old in came_from.items():
        new = declared[track].slots.get(slot)
        if old.pipeline != pipeline or slot not in old.slots or new is None:
            continue
        if old.slots[slot].instance_id != new.instance_id:
            takes[track] = old.folders[slot]
            pairs.add((takes[track], new.instance_id))
    if not takes or any(folder not in live.instances for folder in takes.values()):
        return f"there is no old version of {slot} to overwrite."
    if len({new for _, new in pairs}) < len(pairs) or len({folder for folder, _ in pairs}) < len(pairs):
        return f"{slot} can't be overwritten: its channels use one instance today and several tomorrow, or the reverse."
    for track, shares in live.serving.items():
        for share in shares if track not in takes else ():
            if not set(live.releases[share.release].instances).isdisjoint(takes.values()):
                return f"{slot} can't be overwritten: channel '{track}' goes on with its old version."
    return takes


def _overwriting(
    live: LiveState, declared: Releases, node: Node, takes: Mapping[str, str]
) -> tuple[LiveState, Releases]:
    """Both sides, with this slot as one that exists once, in the folder that it has."""
    pipeline, slot = node
    releases = {
        name: _held(release, slot, release.folders[slot])
        if release.pipeline == pipeline and slot in release.slots and release.folders[slot] in takes.values()
        else release
        for name, release in live.releases.items()
    }
    after = {ln: _held(release, slot, takes[ln]) if ln in takes else release for ln, release in declared.items()}
    return live.model_copy(update={"releases": releases}), after


def _held(release: Release, slot: str, folder: str, in_place: bool = True) -> Release:
    version = release.slots[slot].model_copy(update={"in_place": in_place, "held_in": folder})
    return release.model_copy(update={"slots": {**release.slots, slot: version}})


__all__ = ["PAUSE", "Chosen", "Releases", "apart", "with_room"]
