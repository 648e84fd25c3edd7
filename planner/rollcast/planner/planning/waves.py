"""Waves: which steps expand together, and the milestones of each wave with the rollback from every one of them.

Pipelines have waves of their own, one after another, and so has what several of them share: a regression in one never
undoes what another has proved. Within a pipeline, all steps share one wave while capacity allows, so that the rollback
stays open as long as possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from rollcast.planner.base.errors import CapacityError
from rollcast.planner.capacity.fit import Need, excess, limits_of, need_of, sentence
from rollcast.planner.declaration.models import Environment
from rollcast.planner.plan.models import EVERYONE, Operation, Rollback, Serving, Share
from rollcast.planner.planning.builder import PlanBuilder
from rollcast.planner.planning.expand import expand
from rollcast.planner.planning.rollback import roll_back_from
from rollcast.planner.planning.shift import shift
from rollcast.planner.planning.steps import Step, instances_of
from rollcast.planner.releases.releases import Release, SlotVersion, Track
from rollcast.planner.routing.residency import in_turn


def clusters(steps: Sequence[Step], tracks: Mapping[str, Track]) -> list[list[Step]]:
    """Steps in order, cut where the pipeline changes. Pipelines that share nothing do not interrupt each other."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for step in steps:
        pipelines = [tracks[track].pipeline for track in step.group.lines]
        for other in pipelines[1:]:
            leader[find(other)] = find(pipelines[0])
    found: dict[str, list[Step]] = {}
    for step in steps:
        found.setdefault(find(tracks[step.group.lines[0]].pipeline), []).append(step)
    return [run for cluster in found.values() for run in _runs(cluster, tracks)]


def _runs(cluster: Sequence[Step], tracks: Mapping[str, Track]) -> list[list[Step]]:
    runs: list[list[Step]] = []
    last: set[str] = set()
    for step in cluster:
        pipelines = {tracks[track].pipeline for track in step.group.lines}
        if pipelines != last:
            runs.append([])
        runs[-1].append(step)
        last = pipelines
    return runs


class Room:
    """Which instances there are while a plan goes on, and whether more of them fit."""

    def __init__(self, builder: PlanBuilder, environment: Environment) -> None:
        self.environment, self.limits = environment, limits_of(environment)
        self.there: dict[str, SlotVersion] = {}
        self.need: Need = Counter()
        self.users: Counter[str] = Counter()
        self.served: dict[str, Release] = {}
        if self.limits:
            for folder, (release, slot) in builder.instances.items():
                self._put(folder, builder.releases[release].slots[slot])
            for track, shares in builder.serving.items():
                for release in dict.fromkeys(share.release for share in shares):
                    self.served[track] = builder.releases[release]
                    self.users.update(builder.releases[release].instances.keys())
            for track, begun in builder.begins.items():
                self.served[track] = begun
                self.users.update(begun.instances.keys())

    def _put(self, folder: str, version: SlotVersion) -> None:
        old = self.there.get(folder)
        if old is not None:
            self.need.subtract(need_of([old], self.environment))
        self.there[folder] = version
        self.need.update(need_of([version], self.environment))

    def add(self, step: Step) -> str:
        """Make room for a step's instances beside what is there: nothing, or what is missing, and nothing is added."""
        if not self.limits:
            return ""
        fresh = {p: r.slots[s] for r in step.after.values() for p, (_, s) in instances_of(r).items()}
        before = {folder: self.there.get(folder) for folder in fresh}
        for folder, version in fresh.items():
            if before[folder] is not version:
                self._put(folder, version)
        over = excess(self.need, self.limits)
        if not over:
            for track, release in step.after.items():
                self.users.update(release.instances.keys())
                self.users.subtract(self.served[track].instances.keys() if track in self.served else ())
                self.served[track] = release
            return ""
        for folder, held in before.items():
            if held is not None:
                self._put(folder, held)
            else:
                self._drop(folder)
        return sentence(over)

    def contract(self) -> None:
        """Retire what no track is served by."""
        for folder in [folder for folder in self.there if self.users[folder] <= 0] if self.limits else ():
            self._drop(folder)

    def _drop(self, folder: str) -> None:
        self.need.subtract(need_of([self.there.pop(folder)], self.environment))


Waves = list[tuple[list[Step], bool]]


def waves_of(steps: Sequence[Step], builder: PlanBuilder) -> Waves:
    """(steps of a wave, whether capacity made it narrower), in order.

    Lines change one after another. Where that has no room, because one line still holds what another has left, they
    change group by group. Raises CapacityError when one step alone has no room.
    """
    found = clusters(steps, builder.lines)
    try:
        return _packed(found, builder)
    except CapacityError as error:
        try:
            return _packed([_group_by_group(cluster) for cluster in found], builder)
        except CapacityError:
            raise error from None


def _packed(found: Sequence[Sequence[Step]], builder: PlanBuilder) -> Waves:
    """As many steps in each wave as capacity allows while old and new run side by side."""
    room = Room(builder, builder.environment)
    waves: Waves = []
    for cluster in found:
        wave: list[Step] = []
        narrowed = False
        for step in cluster:
            missing = room.add(step)
            if missing and wave:
                narrowed = True
                waves.append((wave, narrowed))
                room.contract()
                wave = []
                missing = room.add(step)
            if missing:
                slots = [(track, slot) for track in step.group.lines for slot in step.group.slots]
                raise CapacityError(step.name, slots, missing)
            wave.append(step)
        waves.append((wave, narrowed))
        room.contract()
    return waves


def _group_by_group(cluster: Sequence[Step]) -> list[Step]:
    """The first steps of all tracks, then the second ones…; each track keeps its order."""
    queues: dict[str, list[Step]] = {}
    for step in reversed(cluster):
        for track in step.group.lines:
            queues.setdefault(track, []).append(step)
    taken = dict.fromkeys(queues, 0)
    place = {id(step): number for number, step in enumerate(cluster)}
    ordered: list[Step] = []
    while len(ordered) < len(cluster):
        ready = [
            step
            for track in queues
            for step in queues[track][-1:]
            if all(queues[other][-1] is step for other in step.group.lines)
        ]
        chosen = min(ready, key=lambda step: (max(taken[track] for track in step.group.lines), place[id(step)]))
        for track in chosen.group.lines:
            queues[track].pop()
            taken[track] += 1
        ordered.append(chosen)
    return ordered


def add_wave(builder: PlanBuilder, steps: Sequence[Step], narrowed: bool, leaving: Sequence[str] = ()) -> None:
    """Expand, shift, contract for these steps, with a rollback for every milestone up to contract.

    Tracks that leave are removed before the contract, once nothing moves any more.
    """
    for step in steps:
        builder.releases.update({release.id: release for release in step.after.values()})
    if narrowed:
        builder.notes.append(
            "Capacity does not let all new instances run beside the old ones: the plan is cut into narrower "
            "waves, and each wave's contract milestone is a point of no return."
        )
    tracks = tuple(dict.fromkeys(track for step in steps for track in step.group.lines))
    begun = [
        track
        for track in builder.begins
        if builder.lines[track].pipeline in {builder.lines[ln].pipeline for ln in tracks}
    ]
    origin: Serving = {track: builder.serving.get(track, ()) for track in dict.fromkeys((*tracks, *begun, *leaving))}
    begin(builder, begun)
    first = len(builder.milestones)
    fresh = expand(builder, steps)
    _rollbacks(builder, first, roll_back_from(builder, (), origin, fresh))
    for number, step in enumerate(steps, 1):
        first = len(builder.milestones)
        shift(builder, step)
        _rollbacks(builder, first, roll_back_from(builder, steps[:number], origin, fresh))
    _keep_warm(builder, steps)
    if leaving:
        remove(builder, leaving, steps, origin, fresh)
    builder.contract(tracks)
    builder.wave += 1


def remove(
    builder: PlanBuilder, gone: Sequence[str], steps: Sequence[Step], origin: Serving, fresh: Sequence[str]
) -> None:
    """Tracks end: a channel beside its default channel is served as that track is by then, so what goes there stays."""
    operations = [
        Operation(
            id=builder.id(f"shift/{track}/remove", track), kind="shift", milestone=len(builder.milestones), line=track,
            why="the channel is no longer declared: the channels after it take its requests",
        )
        for track in gone
    ]  # fmt: skip
    operations, _ = in_turn(operations, builder.lines, builder.serving, {})
    details = {"step": "remove", "lines": tuple(gone)}
    builder.milestone("shift", "remove " + ", ".join(gone), operations, dict.fromkeys(gone, ()), **details)
    _rollbacks(builder, len(builder.milestones) - 1, roll_back_from(builder, steps, origin, fresh))


def begin(builder: PlanBuilder, tracks: Sequence[str]) -> None:
    """New channels get shares of their own, of what serves their requests today: nothing changes for anybody yet.

    From then on what their default channel does is no business of theirs.
    """
    if not tracks:
        return
    origin: Serving = {track: builder.serving.get(track, ()) for track in tracks}
    releases = {track: builder.begins.pop(track) for track in tracks}
    operations = [
        Operation(
            id=builder.id(f"shift/{track}/begin", track), kind="shift", milestone=len(builder.milestones), line=track,
            release=release.id, why="served as today, and by nothing that its default channel goes to",
        )
        for track, release in releases.items()
    ]  # fmt: skip
    serving: Serving = {ln: (Share(line=ln, percent=100.0, release=r.id),) for ln, r in releases.items()}
    title = f"begin {', '.join(tracks)}: on what serves its requests today"
    if len(tracks) > 1:
        title = f"begin {', '.join(tracks)}: each on what serves its requests today"
    builder.milestone("shift", title, operations, serving, lines=tuple(tracks))
    _rollbacks(builder, len(builder.milestones) - 1, roll_back_from(builder, (), origin, ()))


def settle(
    builder: PlanBuilder, operations: Sequence[Operation], title: str, origin: Serving, serving: Serving
) -> None:
    """Split tracks go wholly to one of their releases; the rollback gives them their shares of before."""
    # of no track alone: nothing is under analysis
    builder.milestone("shift", title, operations, serving, step=title, audience=EVERYONE, percent=100.0)
    _rollbacks(builder, len(builder.milestones) - 1, roll_back_from(builder, (), origin, ()))


def _rollbacks(builder: PlanBuilder, first: int, way: Rollback) -> None:
    """The milestones of one step share one rollback."""
    for milestone in builder.milestones[first:]:
        builder.rollbacks.append(
            Rollback.model_construct(
                from_milestone=milestone.index, milestones=way.milestones, operations=way.operations, loses=way.loses
            )
        )


def _keep_warm(builder: PlanBuilder, steps: Sequence[Step]) -> None:
    warm = max(builder.lines[track].rollout.keep_warm for step in steps for track in step.group.lines)
    last = builder.milestones[-1]
    if warm > last.bake_min_s:
        update = {"bake_min_s": warm, "bake_max_s": max(warm, last.bake_max_s)}
        builder.milestones[-1] = last.model_copy(update=update)


__all__ = ["add_wave", "begin", "clusters", "remove", "waves_of"]
