"""Waves of steps as milestones, operations and rollbacks.

A wave expands (`expanding`), shifts (`shifting`) and contracts. Roots of a milestone wait for the sinks of the one
before; within a milestone only the reduced upstream order is written down. So the whole graph is transitively reduced
as it is built, and milestones are true barriers.

Long because milestones, operations, drains and retirements are built on one state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from rollcast.planner.base.wording import in_words, some_of
from rollcast.planner.contracts.groups import Node
from rollcast.planner.contracts.upstream import Upstream, nearest_upstream
from rollcast.planner.declaration.confirmations import Confirmation
from rollcast.planner.declaration.models import Environment
from rollcast.planner.plan.drains import LongestRequest
from rollcast.planner.plan.models import EVERYONE, Milestone, MilestoneKind, Operation, Rollback, Serving, Share
from rollcast.planner.planning.steps import Instances, instances_of
from rollcast.planner.releases.releases import SHARED, Release, Track

MANY = 6  # names in a title


class Names:
    """Readable ids; where two things share one, the later one carries what distinguishes it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __call__(self, name: str, distinct: str) -> str:
        if name in self._taken:
            name = f"{name}#{distinct.rsplit('-', 1)[-1].rsplit('/', 1)[-1]}"
            count = 2
            base = name
            while name in self._taken:
                name, count = f"{base}.{count}", count + 1
        self._taken.add(name)
        return name


class PlanBuilder:
    """The plan as it grows, and the state that its last milestone leaves."""

    def __init__(
        self,
        tracks: Mapping[str, Track],
        environment: Environment,
        serving: Serving,
        instances: Instances,
        releases: Mapping[str, Release],
        before: Mapping[str, Track],
    ) -> None:
        self.lines, self.environment = tracks, environment
        self._may_last = (LongestRequest(tracks.values()), LongestRequest(before.values()))
        self.serving: Serving = dict(serving)
        self.instances: Instances = dict(instances)
        self.begins: dict[str, Release] = {}  # new channels that begin on what serves their requests today
        self.releases: dict[str, Release] = dict(releases)
        self.for_room: Mapping[Node, str] = {}  # slots that are overwritten for lack of room -> what is missing
        self.operations: list[Operation] = []
        self.milestones: list[Milestone] = []
        self.rollbacks: list[Rollback] = []
        self.notes: list[str] = []
        self.audiences: dict[str, dict[str, object]] = {}
        self.wave = 0
        self.several_pipelines = len({track.pipeline for track in tracks.values()}) > 1
        self.sinks: tuple[str, ...] = ()
        self.id = Names()
        self._confirmed: set[tuple[object, ...]] = set()
        self._users: Counter[str] = Counter()
        self._idle: dict[str, None] = {}
        self._routed: Counter[str] = Counter()
        self._stale: dict[str, None] = {}
        self._pipeline_lines: dict[str, list[str]] = {}
        for track in tracks.values():
            self._pipeline_lines.setdefault(track.pipeline, []).append(track.id)
        for shares in serving.values():
            self._serve(shares, 1)
        for folder in self.instances:
            if not self._users[folder]:
                self._idle[folder] = None

    # ---- state --------------------------------------------------------------------------------

    def _serve(self, shares: Sequence[Share], change: int) -> None:
        """Count which instances the served releases use, so that what nobody uses is known at once."""
        for release in dict.fromkeys(share.release for share in shares):
            self._routed[release] += change
            if not self._routed[release]:
                self._stale[release] = None
            else:
                self._stale.pop(release, None)
            for folder in instances_of(self.releases[release]):
                self._users[folder] += change
                if not self._users[folder]:
                    self._idle[folder] = None
                elif folder in self._idle:
                    del self._idle[folder]

    def stale(self) -> tuple[str, ...]:
        """Releases that requests may still be on, although nothing is routed to them now."""
        return tuple(sorted(self._stale))

    def served_elsewhere(self, release: str, apart_from: Mapping[str, object]) -> bool:
        """Whether another track than those given is served by a release."""
        tracks = self._pipeline_lines.get(self.releases[release].pipeline, ())
        return any(
            share.release == release
            for track in tracks
            if track not in apart_from
            for share in self.serving.get(track, ())
        )

    def idle(self) -> list[str]:
        """Folders of instances that no track is served by."""
        return [folder for folder in self._idle if folder in self.instances]

    # ---- milestones and operations --------------------------------------------------------------

    def milestone(
        self, kind: MilestoneKind, title: str, operations: Sequence[Operation], serving: Serving, **details: object
    ) -> None:
        """Append a milestone and its operations, and move the state there."""
        waited = {name for operation in operations for name in operation.after}
        roots = self.sinks
        tied = [op if op.after or not roots else op.model_copy(update={"after": roots}) for op in operations]
        self.sinks = tuple(sorted(op.id for op in operations if op.id not in waited))
        self.operations.extend(tied)
        self.milestones.append(
            Milestone.model_validate(
                {
                    "index": len(self.milestones),
                    "title": title,
                    "kind": kind,
                    "wave": self.wave,
                    "serving": serving,
                    **details,
                }
            )
        )
        for track, shares in serving.items():
            self._serve(shares, 1)
            self._serve(self.serving.get(track, ()), -1)
            self.serving[track] = shares
        for operation in operations:
            if operation.kind == "provision" and operation.instance and operation.release and operation.component:
                self.instances[operation.instance] = (operation.release, operation.component)
            elif operation.kind == "retire" and operation.instance:
                self.instances.pop(operation.instance, None)
                self._idle.pop(operation.instance, None)
            elif operation.kind == "drain":
                for release in operation.drained:
                    self._stale.pop(release, None)

    def confirmations(
        self, step: str, tracks: Sequence[str], audience: str = EVERYONE, percent: float = 100.0
    ) -> tuple[Confirmation, ...]:
        """What is confirmed before a milestone: the first of its step that gives an audience as much as is declared."""
        own = (one for track in tracks for one in self.lines[track].rollout.confirm)
        found: list[Confirmation] = []
        for one in dict.fromkeys((*self.environment.confirm, *own)):
            place = (self.wave, step, *tracks, one)
            if one.audience == audience and percent >= one.percent and place not in self._confirmed:
                self._confirmed.add(place)
                found.append(one)
        return tuple(found)

    def longest_request_s(self, releases: Iterable[str]) -> float:
        """The longest that a request of any of these releases may last, as declared now or before; of all, if of none.

        Requests that are in flight began under the declaration before.
        """
        among = [self.releases[name] for name in {*releases} or self.releases]
        return max((may_last.of(release) for release in among for may_last in self._may_last), default=0.0)

    def owners(self, folders: Iterable[str]) -> set[str]:
        """The releases that instances were made for."""
        return {self.instances[folder][0] for folder in folders}

    def drain(self, label: str, releases: tuple[str, ...], why: str, folders: Iterable[str] = ()) -> Operation:
        """A wait for the longest request: afterwards none is on these releases, nor on these folders, any more."""
        return Operation(
            id=self.id(f"drain/{label}", str(len(self.milestones))),
            kind="drain",
            milestone=len(self.milestones),
            component=label,
            wait_s=self.longest_request_s({*releases, *self.owners(folders)}),
            drained=releases,
            after=self.sinks,
            why=why,
        )

    def contract(self, tracks: Sequence[str]) -> None:
        """Drain and retire what no track is served by any more: the point of no return."""
        idle = self.idle()
        if not idle:
            return
        why = "no request may still be on what is about to be retired"
        drain = self.drain("old-instances", self.stale(), why, idle)
        retires = self.retires(idle, (drain.id,), len(self.milestones))
        title = f"contract: retire the old {listed(retires[::-1], 'retire')}{self.whose(retires[::-1])}"
        self.milestone(
            "contract", title, [drain, *retires], {},
            lines=tuple(tracks), point_of_no_return=True,
        )  # fmt: skip

    def retires(
        self, idle: Iterable[str], waits: tuple[str, ...], milestone: int, name: Callable[[str, str], str] | None = None
    ) -> list[Operation]:
        """Retire operations for folders, downstream before upstream; `name` gives ids, those of the plan by default."""
        by_release: dict[str, list[tuple[str, str]]] = {}
        for folder in idle:
            owner, slot = self.instances[folder]
            by_release.setdefault(owner, []).append((slot, folder))
        operations: list[Operation] = []
        for release_id, found in sorted(by_release.items()):
            release, members = self.releases[release_id], dict(found)
            ids = {
                slot: (name or self.id)(f"retire/{self.slot_name(release, slot)}@{version}", folder)
                for slot, folder in members.items()
                for version in [release.slots[slot].artifact.version]
            }
            operations.extend(_retires_of(release, members, ids, waits, milestone))
        return operations

    # ---- names --------------------------------------------------------------------------------

    def prefix(self, track: str) -> str:
        """What distinguishes the operations of several tracks."""
        return "" if len(self.lines) == 1 else f"{track}/"

    def shown(self, track: str, step: str) -> str:
        """A step of a track in a title."""
        where = "" if len(self.lines) == 1 else f" on {track}"
        return f"{where}: {step.replace('+', ' + ')}"

    def whose(self, operations: Sequence[Operation]) -> str:
        """Whose instances these are, in a title: nothing where there is one pipeline only."""
        owners = dict.fromkeys(o.instance.split("/", 1)[0] for o in operations if o.instance)
        names = _as_a_person_would(owner for owner in owners if owner != SHARED) if self.several_pipelines else ""
        return f" of {names}" if names else ""

    def slot_name(self, release: Release, slot: str) -> str:
        """A slot's name, with its pipeline where there are several."""
        return f"{release.pipeline}/{slot}" if self.several_pipelines else slot


def _retires_of(
    release: Release, members: Mapping[str, str], ids: Mapping[str, str], waits: tuple[str, ...], milestone: int
) -> list[Operation]:
    upstream = nearest_upstream(release.slots, set(members)) if len(members) > 1 else Upstream(list(members), {}, {})
    followers: dict[str, list[str]] = {slot: [] for slot in members}
    for down in upstream.order:
        for up in upstream.of.get(down, ()):
            followers[up].append(ids[down])
    return [
        Operation(
            id=ids[slot],
            kind="retire",
            milestone=milestone,
            component=slot,
            release=release.id,
            artifact=release.slots[slot].reference,
            instance=members[slot],
            after=tuple(sorted(followers[slot])) or waits,
            why="no release uses it any more",
        )
        for slot in reversed(upstream.order)
    ]


def listed(operations: Sequence[Operation], kind: str) -> str:
    """The components that operations of a kind are about, as a person would list them."""
    return _as_a_person_would(dict.fromkeys(o.component for o in operations if o.kind == kind and o.component))


def _as_a_person_would(found: Iterable[str]) -> str:
    names = list(found)
    if len(names) > MANY:
        return some_of(names, MANY - 1)
    return in_words(names)


__all__ = ["PlanBuilder", "listed"]
