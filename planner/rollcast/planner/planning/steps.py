"""Steps: what each group does to the releases of its tracks.

Walking the groups in order gives a chain of releases for each track; every one of them is a whole configuration that is
safe to serve. Feature flags are steps of their own: one that is switched off goes first, others go last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollcast.planner.contracts.edges import ContractGraph
from rollcast.planner.contracts.groups import SynchronizationGroup
from rollcast.planner.releases.releases import Release, SlotVersion, Track

Instances = dict[str, tuple[str, str]]  # folder -> (release id, slot)


@dataclass(frozen=True, slots=True)
class Step:
    """One switch: `before` -> `after` for each of its tracks. `before` is None where nothing was served."""

    group: SynchronizationGroup
    kind: str  # "side-by-side" | "in-place" | "pause" | "flag"
    before: Mapping[str, Release | None]
    after: Mapping[str, Release]

    @property
    def name(self) -> str:
        return self.group.name


def steps_of(
    groups: list[SynchronizationGroup],
    live: Mapping[str, Release],
    declared: Mapping[str, Release],
    tracks: Mapping[str, Track],
) -> list[Step]:
    """The steps in order. In each, exactly the slots of its group change."""
    current: dict[str, Release | None] = {track: live.get(track) for track in declared}
    steps: list[Step] = []
    for turn_off in (True, False):
        if not turn_off:
            steps.extend(_slot_steps(groups, current, declared, tracks))
        for track, release in declared.items():
            step = _flag_step(track, current, release, turn_off)
            if step:
                steps.append(step)
    return steps


def _slot_steps(
    groups: list[SynchronizationGroup],
    current: dict[str, Release | None],
    declared: Mapping[str, Release],
    tracks: Mapping[str, Track],
) -> list[Step]:
    steps = []
    contracts: dict[str, ContractGraph] = {}
    for track, release in current.items():
        if release is not None:
            contracts[track] = ContractGraph(release.slots, declared[track].slots)
    waiting = list(reversed(groups))
    while waiting:
        group = waiting.pop()
        before = {track: current[track] for track in group.lines}
        while True:
            after = {track: _switch(group, track, current[track], declared[track]) for track in group.lines}
            broken = _broken(group, after, contracts)
            following = (
                next((g for g in reversed(waiting) if set(g.lines) & set(group.lines)), None) if broken else None
            )
            if following is None:
                break
            waiting.remove(following)
            group = _merged(group, following, broken)
            before = {track: current[track] for track in group.lines}
        current.update(after)
        steps.append(Step(group, _kind(group, before, after), before, after))
    return steps


def _broken(group: SynchronizationGroup, after: Mapping[str, Release], contracts: Mapping[str, ContractGraph]) -> str:
    """What would be broken if only this group switched: pairwise orders do not see what takes three to put right."""
    for track, release in after.items():
        graph = contracts.get(track)
        for u, v in graph.edges_of(group.slots) if graph else ():
            why = graph.why_not(u, release.slots.get(u), v, release.slots.get(v)) if graph else ""
            if why:
                return why
        for clash in graph.lacking(release.slots) if graph else ():
            return str(clash)
    return ""


def _merged(one: SynchronizationGroup, other: SynchronizationGroup, reason: str) -> SynchronizationGroup:
    return SynchronizationGroup(
        members=(*one.members, *other.members),
        lines=tuple(dict.fromkeys((*one.lines, *other.lines))),
        slots=tuple(dict.fromkeys((*one.slots, *other.slots))),
        in_place=one.in_place or other.in_place,
        together=tuple(dict.fromkeys((*one.together, reason, *other.together))),
        after=tuple(dict.fromkeys((*one.after, *other.after))),
    )


def _kind(group: SynchronizationGroup, before: Mapping[str, Release | None], after: Mapping[str, Release]) -> str:
    """What exists once is overwritten only where something else is there already."""
    if not any(_overwrites(group, before[track], release) for track, release in after.items()):
        return "side-by-side"
    return "in-place" if len(group.slots) == 1 else "pause"


def _overwrites(group: SynchronizationGroup, before: Release | None, after: Release) -> bool:
    if before is None:
        return False
    old = instances_of(before)
    for folder, (_, slot) in instances_of(after).items():
        if slot not in group.slots or not after.slots[slot].in_place or folder not in old:
            continue
        if before.slots[old[folder][1]].instance_id != after.slots[slot].instance_id:
            return True
    return False


def _switch(group: SynchronizationGroup, track: str, old: Release | None, declared: Release) -> Release:
    if old is None:
        return declared
    members = {slot for owner, slot in group.members if owner == track or owner.startswith("=")}
    slots: dict[str, SlotVersion] = {}
    for name, slot in declared.slots.items():
        if name in members:
            slots[name] = slot
        elif name in old.slots:
            slots[name] = old.slots[name]
    for name, slot in old.slots.items():
        if name not in declared.slots and name not in members:
            slots[name] = slot
    return Release(pipeline=declared.pipeline, slots=slots, flags=old.flags)


def _flag_step(track: str, current: dict[str, Release | None], declared: Release, turn_off: bool) -> Step | None:
    old = current[track]
    if old is None or old.flags == declared.flags:
        return None
    names = sorted(
        n
        for n in {*old.flags, *declared.flags}
        if (old.flags.get(n), n in old.flags) != (declared.flags.get(n), n in declared.flags)
    )
    chosen = [n for n in names if (old.flags.get(n) and not declared.flags.get(n)) or not turn_off]
    if not chosen:
        return None
    flags = {n: v for n, v in old.flags.items() if n not in chosen}
    flags.update({n: declared.flags[n] for n in chosen if n in declared.flags})
    after = Release(pipeline=old.pipeline, slots=old.slots, flags=flags)
    current[track] = after
    slots = tuple(f"flag:{n}" for n in chosen)
    group = SynchronizationGroup(tuple((track, s) for s in slots), (track,), slots, in_place=False)
    return Step(group, "flag", {track: old}, {track: after})


def instances_of(release: Release) -> Instances:
    """The instances that a release needs, by folder."""
    return release.instances
