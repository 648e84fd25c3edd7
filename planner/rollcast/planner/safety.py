"""The invariants, checked on every plan before anyone sees it.

Reachability is decided, not enumerated. Milestones are barriers and operations within one are a DAG, so two
operations can be observed in either order exactly when neither precedes the other. Contracts are pairwise; therefore it
is enough to decide, for each pair of slots, whether two incompatible versions can ever meet on one request's path
(`observing` says how). Rollbacks are judged from the worst state that a crash can leave on the way to a milestone.

`tests/planner` proves these decisions against brute-force enumeration of every reachable partial state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import networkx as nx

from rollcast.planner.errors import UnsafePlan
from rollcast.planner.meetings import Meetings
from rollcast.planner.observing import go
from rollcast.planner.plan import Milestone, Operation, Plan, Rollback, Serving
from rollcast.planner.releases import instance_path
from rollcast.planner.world import Violation, World


def assert_safe(plan: Plan) -> None:
    """Raises UnsafePlan when any invariant is broken: a defect of the planner, to be reported."""
    found = list(violations(plan))
    if found:
        shown = "\n".join(f"  {violation}" for violation in found[:10])
        raise UnsafePlan(
            f"this plan would not be safe and is not shown:\n{shown}\n"
            "Please report this declaration as a defect; nothing was changed."
        )


def violations(plan: Plan) -> Iterator[Violation]:
    """Every broken invariant, forwards and on the way back from every milestone."""
    yield from _graph(plan)
    yield from _cadence(plan)
    yield from _minimal(plan)
    yield from _walk(plan)


def _walk(plan: Plan) -> Iterator[Violation]:
    """Forwards through all milestones; before each is passed, the way back from every state on the way to it."""
    world = World(plan, Meetings(plan))
    origin = _Origin(plan)
    before: tuple[object, ...] | None = None
    for milestone in plan.milestones:
        origin.begin(milestone)
        operations = plan.operations_of(milestone.index)
        way = plan.rollback_of(milestone.index)
        if way is None and not milestone.point_of_no_return:
            yield Violation("reversible", milestone.title, "there is no way back before a point of no return")
        judged = (id(way.operations), _halfway(world, milestone)) if way and _only_shifts(operations) else None
        if way is not None and (judged is None or judged != before):
            yield from _back(world, origin, milestone, way)
        before = judged
        yield from go(world, "the plan", milestone, operations)
        origin.pass_by(milestone, plan)


def _only_shifts(operations: Sequence[Operation]) -> bool:
    return all(operation.kind in ("shift", "flag") for operation in operations)


def _halfway(world: World, milestone: Milestone) -> dict[str, frozenset[str]]:
    """What may be served while a milestone that only shifts is under way: the stages of a canary are alike in that."""
    return {
        line: world.routed.get(line, frozenset()) | {share.release for share in shares}
        for line, shares in milestone.serving.items()
    }


class _Origin:
    """Where the wave under way began: shares by line and folders, kept as differences from now."""

    def __init__(self, plan: Plan) -> None:
        self.now: Serving = dict(plan.start)
        self.before: Serving = {}
        self.made: set[str] = set()
        self.gone: set[str] = set()
        self.wave = 0

    def begin(self, milestone: Milestone) -> None:
        """A new wave begins where the one before ended."""
        if milestone.wave != self.wave:
            self.wave, self.before, self.made, self.gone = milestone.wave, {}, set(), set()

    def pass_by(self, milestone: Milestone, plan: Plan) -> None:
        for line, shares in milestone.serving.items():
            self.before.setdefault(line, self.now.get(line, ()))
            self.now[line] = shares
        for operation in plan.operations_of(milestone.index):
            if operation.kind == "provision" and operation.instance and not operation.in_place:
                self.made.add(operation.instance)
            elif operation.kind == "retire" and operation.instance:
                self.gone.add(operation.instance)

    def shares(self, line: str) -> tuple[tuple[str, float, str], ...]:
        return tuple((s.audience, s.percent, s.release) for s in self.before.get(line, self.now.get(line, ())))


def _back(world: World, origin: _Origin, milestone: Milestone, way: Rollback) -> Iterator[Violation]:
    """A rollback leads to the start of its wave through safe states only, from wherever a crash left the world."""
    plan, mark = world.plan, world.mark()
    operations = plan.operations_of(milestone.index)
    made = origin.made | {o.instance for o in operations if o.kind == "provision" and o.instance and not o.in_place}
    for _ in go(world, "", milestone, operations, halfway=True):
        pass  # judged on the way forward
    shown = {line: origin.now.get(line, ()) for line in origin.before}
    shown.update(milestone.serving)
    where = f"rollback from {milestone.title}"
    for step in way.milestones:
        yield from go(world, where, step, way.operations_of(step.index))
        shown.update(step.serving)
    for line, shares in shown.items():
        if tuple((s.audience, s.percent, s.release) for s in shares) != origin.shares(line):
            yield Violation("reversible", milestone.title, f"the way back leaves {line} with another serving")
    odd = sorted(folder for folder in made if folder in world.instances)
    odd += sorted(folder for folder in origin.gone if folder not in world.instances)
    if odd:
        yield Violation("reversible", milestone.title, f"the way back leaves other instances: {', '.join(odd)}")
    world.undo(mark)


def _graph(plan: Plan) -> Iterator[Violation]:
    """Ids are unique, `after` names known operations, the graph is acyclic, milestones come in order."""
    milestone_of: dict[str, int] = {}
    for operation in plan.operations:
        if operation.id in milestone_of:
            yield Violation("deterministic", operation.id, "two operations have this id")
        milestone_of[operation.id] = operation.milestone
    for operation in plan.operations:
        for earlier in operation.after:
            if milestone_of.get(earlier, operation.milestone + 1) > operation.milestone:
                yield Violation("deterministic", operation.id, f"waits for '{earlier}', which does not come before it")
    graph = nx.DiGraph([(a, o.id) for o in plan.operations for a in o.after])
    if not nx.is_directed_acyclic_graph(graph):
        yield Violation("deterministic", "operations", "they wait for each other in a circle")
    seen: set[int] = set()
    for way in plan.rollback:
        if id(way.operations) not in seen and len({o.id for o in way.operations}) < len(way.operations):
            yield Violation("deterministic", f"rollback of {way.from_milestone}", "two operations have one id")
        seen.add(id(way.operations))


def _cadence(plan: Plan) -> Iterator[Violation]:
    """One group at a time is under analysis: while it is, every other line is wholly on one release."""
    split: dict[str, int] = {}
    serving = dict(plan.start)
    for line, shares in plan.start.items():
        _count(split, line, shares)
    for milestone in plan.milestones:
        for line, shares in milestone.serving.items():
            serving[line] = shares
            _count(split, line, shares)
            if len({share.release for share in shares}) > 2:
                yield Violation("cadence", milestone.title, f"line {line} serves more than two releases")
        if milestone.kind != "restore" and milestone.lines:
            for line in split.keys() - set(milestone.lines):
                yield Violation("cadence", milestone.title, f"line {line} is split while {milestone.step} is analysed")


def _count(split: dict[str, int], line: str, shares: object) -> None:
    releases = {share.release for share in shares}  # type: ignore[attr-defined]
    if len(releases) > 1:
        split[line] = len(releases)
    else:
        split.pop(line, None)


def _minimal(plan: Plan) -> Iterator[Violation]:
    """Nothing is done where nothing changed."""
    if plan.changes or not plan.operations:
        return
    removed = [line for line in plan.start if line not in plan.to_release]
    used = {
        instance_path(plan.releases[r].pipeline, s, v)
        for r in plan.to_release.values()
        for s, v in plan.releases[r].slots.items()
    }
    if not removed and not set(plan.start_instances) - used:
        yield Violation("minimal", "the plan", "operations without a change")


__all__ = ["Violation", "assert_safe", "violations"]
