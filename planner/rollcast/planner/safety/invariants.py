"""The invariants, checked on every plan before anyone sees it.

Reachability is decided, not enumerated. Milestones are barriers and operations within one are a DAG, so two
operations can be observed in either order exactly when neither precedes the other. Contracts are pairwise; therefore it
is enough to decide, for each pair of slots, whether two incompatible versions can ever be on one request's path
(`observing` says how). Rollbacks are judged from the worst state that a crash can leave on the way to a milestone.

`tests/planner` proves these decisions against brute-force enumeration of every reachable partial state.

Long because each invariant is a short function of its own, all in one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.planner.base.errors import UnsafePlan
from rollcast.planner.contracts.edges import wiring
from rollcast.planner.plan.drains import LongestRequest
from rollcast.planner.plan.models import Milestone, Operation, Plan, Rollback, Serving
from rollcast.planner.releases.releases import instance_path
from rollcast.planner.safety.cluster_state import ClusterState, InvariantViolation
from rollcast.planner.safety.compatibility import Compatibility, Content
from rollcast.planner.safety.reachable import go


def assert_safe(plan: Plan) -> None:
    """Raises UnsafePlan when any invariant is broken: a defect of the planner, to be reported."""
    found = list(violations(plan))
    if found:
        shown = "\n".join(f"  {violation}" for violation in found[:10])
        raise UnsafePlan(
            f"this plan would not be safe and is not shown:\n{shown}\n"
            "Please report this declaration as a defect; nothing was changed."
        )


def violations(plan: Plan) -> Iterator[InvariantViolation]:
    """Every broken invariant, forwards and during the rollback from every milestone."""
    yield from _graph(plan)
    yield from _cadence(plan)
    yield from _minimal(plan)
    yield from _wiring(plan)
    yield from _drains(plan)
    yield from _walk(plan)


def _walk(plan: Plan) -> Iterator[InvariantViolation]:
    """Forwards through all milestones; before each is passed, the rollback from every state on the way to it."""
    world = ClusterState(plan, Compatibility(plan))
    origin = _Origin(plan)
    before: tuple[object, ...] | None = None
    for milestone in plan.milestones:
        origin.begin(milestone)
        operations = plan.operations_of(milestone.index)
        way = plan.rollback_of(milestone.index)
        if way is None and not milestone.point_of_no_return:
            yield InvariantViolation("reversible", milestone.title, "there is no rollback before a point of no return")
        same = way is not None and _only_shifts(operations)
        judged = (id(way.milestones), id(way.operations), _halfway(world, milestone)) if way and same else None
        if way is not None and (judged is None or judged != before):
            yield from _back(world, origin, milestone, way)
        before = judged
        yield from go(world, "the plan", milestone, operations)
        origin.pass_by(milestone, operations)


def _only_shifts(operations: Sequence[Operation]) -> bool:
    return all(operation.kind in ("shift", "flag") for operation in operations)


def _halfway(world: ClusterState, milestone: Milestone) -> dict[str, frozenset[str]]:
    """What may be served while a milestone that only shifts is under way: the stages of a canary are alike in that."""
    return {
        track: world.routed.get(track, frozenset()) | {share.release for share in shares}
        for track, shares in milestone.serving.items()
    }


Changed = dict[str, Content | None]  # folder -> what it held before (None: it was not there)


class _Origin:
    """Where the wave under way began: shares by track and what folders held, kept as differences from now."""

    def __init__(self, plan: Plan) -> None:
        self.now: Serving = dict(plan.start)
        self.held: dict[str, Content] = dict(plan.start_instances)
        self.before: Serving = {}
        self.changed: Changed = {}
        self.wave = 0

    def begin(self, milestone: Milestone) -> None:
        """A new wave begins where the one before ended."""
        if milestone.wave != self.wave:
            self.wave, self.before, self.changed = milestone.wave, {}, {}

    def pass_by(self, milestone: Milestone, operations: Sequence[Operation]) -> None:
        for track, shares in milestone.serving.items():
            self.before.setdefault(track, self.now.get(track, ()))
            self.now[track] = shares
        for operation in operations:
            folder = operation.instance
            if folder is None or operation.kind not in ("provision", "retire"):
                continue
            self.changed.setdefault(folder, self.held.get(folder))
            if operation.kind == "retire":
                self.held.pop(folder, None)
            elif operation.release and operation.component:
                self.held[folder] = operation.release, operation.component

    def changed_by(self, operations: Sequence[Operation]) -> Changed:
        """What folders held when the wave began, of all that are changed up to the end of these operations."""
        own = [o.instance for o in operations if o.instance and o.kind in ("provision", "retire")]
        return {**{folder: self.held.get(folder) for folder in own}, **self.changed}

    def shares(self, track: str) -> tuple[tuple[str, float, str], ...]:
        return tuple((s.audience, s.percent, s.release) for s in self.before.get(track, self.now.get(track, ())))


def _back(world: ClusterState, origin: _Origin, milestone: Milestone, way: Rollback) -> Iterator[InvariantViolation]:
    """A rollback leads to the start of its wave through safe states only, from wherever a crash left the world."""
    plan, mark = world.plan, world.mark()
    operations = plan.operations_of(milestone.index)
    for _ in go(world, "", milestone, operations, halfway=True):
        pass  # judged on the way forward
    shown = {track: origin.now.get(track, ()) for track in origin.before}
    shown.update(milestone.serving)
    where = f"rollback from {milestone.title}"
    for step in way.milestones:
        yield from go(world, where, step, way.operations_of(step.index))
        shown.update(step.serving)
    for track, shares in shown.items():
        if tuple((s.audience, s.percent, s.release) for s in shares) != origin.shares(track):
            yield InvariantViolation("reversible", milestone.title, f"the rollback leaves {track} with another serving")
    odd = [folder for folder, was in origin.changed_by(operations).items() if not _restored(world, folder, was)]
    if odd:
        yield InvariantViolation(
            "reversible", milestone.title, f"the rollback leaves other instances: {', '.join(sorted(odd))}"
        )
    world.undo(mark)


def _restored(world: ClusterState, folder: str, was: Content | None) -> bool:
    """Whether a folder surely holds what it held, or is surely gone."""
    now = world.instances.get(folder)
    if was is None or now is None:
        return was is None and now is None
    runs = world.compatibility.content(was).instance_id
    return folder not in world.unsure and all(world.compatibility.content(one).instance_id == runs for one in now)


def _graph(plan: Plan) -> Iterator[InvariantViolation]:
    """Ids are unique, `after` names known operations, the graph is acyclic, milestones come in order.

    Nothing is written twice on the way to one milestone, and what retires something is a point of no return: what is
    decided of contents rests on both.
    """
    milestone_of: dict[str, int] = {}
    for operation in plan.operations:
        if operation.id in milestone_of:
            yield InvariantViolation("deterministic", operation.id, "two operations have this id")
        milestone_of[operation.id] = operation.milestone
    for operation in plan.operations:
        for earlier in operation.after:
            if milestone_of.get(earlier, operation.milestone + 1) > operation.milestone:
                yield InvariantViolation(
                    "deterministic", operation.id, f"waits for '{earlier}', which does not come before it"
                )
    import networkx as nx

    graph = nx.DiGraph([(a, o.id) for o in plan.operations for a in o.after])
    if not nx.is_directed_acyclic_graph(graph):
        yield InvariantViolation("deterministic", "operations", "they wait for each other in a circle")
    yield from _twice("the plan", plan.operations)
    seen: set[int] = set()
    for way in plan.rollback:
        if id(way.operations) not in seen:
            where = f"rollback of {way.from_milestone}"
            if len({o.id for o in way.operations}) < len(way.operations):
                yield InvariantViolation("deterministic", where, "two operations have one id")
            yield from _twice(where, way.operations)
        seen.add(id(way.operations))
        if any(o.kind == "retire" for o in plan.operations_of(way.from_milestone)):
            yield InvariantViolation(
                "deterministic", f"milestone {way.from_milestone}", "it retires, and has a rollback"
            )


def _twice(where: str, operations: Sequence[Operation]) -> Iterator[InvariantViolation]:
    written: set[tuple[int, str]] = set()
    for operation in operations:
        if operation.kind == "provision" and operation.instance:
            if (operation.milestone, operation.instance) in written:
                yield InvariantViolation(
                    "deterministic", where, f"{operation.instance} is written twice in one milestone"
                )
            written.add((operation.milestone, operation.instance))


def _cadence(plan: Plan) -> Iterator[InvariantViolation]:
    """One group at a time is under analysis: while it is, every other track is wholly on one release."""
    split: dict[str, int] = {}
    serving = dict(plan.start)
    for track, shares in plan.start.items():
        _count(split, track, shares)
    for milestone in plan.milestones:
        for track, shares in milestone.serving.items():
            serving[track] = shares
            _count(split, track, shares)
            if len({share.release for share in shares}) > 2:
                yield InvariantViolation("cadence", milestone.title, f"channel {track} serves more than two releases")
        if milestone.kind != "restore" and milestone.lines:
            for track in split.keys() - set(milestone.lines):
                yield InvariantViolation(
                    "cadence", milestone.title, f"channel {track} is split while {milestone.step} is analysed"
                )


def _count(split: dict[str, int], track: str, shares: object) -> None:
    releases = {share.release for share in shares}  # type: ignore[attr-defined]
    if len(releases) > 1:
        split[track] = len(releases)
    else:
        split.pop(track, None)


def _minimal(plan: Plan) -> Iterator[InvariantViolation]:
    """Nothing is done where nothing changed."""
    if plan.changes or not plan.operations:
        return
    removed = [track for track in plan.start if track not in plan.to_release]
    used = {
        instance_path(plan.releases[r].pipeline, s, v)
        for r in plan.to_release.values()
        for s, v in plan.releases[r].slots.items()
    }
    if not removed and not set(plan.start_instances) - used:
        yield InvariantViolation("minimal", "the plan", "operations without a change")


def _wiring(plan: Plan) -> Iterator[InvariantViolation]:
    """Whatever a track is served by has the slots and the upstreams of what it comes from, or of what it goes to."""
    shapes = {name: wiring(release.slots) for name, release in plan.releases.items()}
    declared: dict[str, list[object]] = {}
    for track in plan.pipeline_of:
        ends = [*plan.ends_of(track)]
        ends += [share.release for share in plan.start.get(track, ())]
        declared[track] = [shapes[name] for name in ends if name]
    ways = {id(way.milestones): (f"back from {way.from_milestone}, ", way.milestones) for way in plan.rollback}
    for where, milestones in [("", plan.milestones), *ways.values()]:
        for milestone in milestones:
            for track, shares in milestone.serving.items():
                for release in dict.fromkeys(share.release for share in shares):
                    if shapes[release] not in declared[track]:
                        what = f"{track} is served by {release}, which is wired as nobody declared"
                        yield InvariantViolation("declared wiring", f"{where}{milestone.title}", what)


def _drains(plan: Plan) -> Iterator[InvariantViolation]:
    """A drain is as long as the longest request of what it drains, and of what is retired with it."""
    may_last = LongestRequest(plan.lines.values())
    longest = {name: may_last.of(release) for name, release in plan.releases.items()}
    ways = {id(way.operations): (f"back from {way.from_milestone}, ", way.operations) for way in plan.rollback}
    for where, operations in [("", plan.operations), *ways.values()]:
        retired: dict[int, set[str]] = {}
        for operation in operations:
            if operation.kind == "retire" and operation.release:
                retired.setdefault(operation.milestone, set()).add(operation.release)
        for drain in operations:
            ended = {*drain.drained, *retired.get(drain.milestone, ())} if drain.kind == "drain" else set()
            wanted = max((longest[release] for release in ended), default=0.0)
            if drain.wait_s < wanted:
                what = f"it waits {drain.wait_s:g} s, and a request may last {wanted:g} s"
                yield InvariantViolation("drained", f"{where}{drain.id}", what)


__all__ = ["InvariantViolation", "assert_safe", "violations"]
