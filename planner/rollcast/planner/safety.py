"""The invariants, checked on every plan before anyone sees it.

Reachability is decided, not enumerated. Milestones are barriers and operations within one are a DAG, so two
operations can be observed in either order exactly when neither precedes the other. Contracts are pairwise; therefore
it is enough to decide, for each pair of slots, whether two incompatible versions can ever meet on one request's path:

- slots that run side by side are pinned by the release that a request carries from the entry, so only
  whole releases meet there: each release that a state serves must be whole, and its instances must exist
  from before its first shift until after the drain that follows its last;
- a slot that changes in place shows every request its present content, whatever release the request carries:
  each content is checked against each release that can be in flight while it is there.

`tests/planner` proves these decisions against brute-force enumeration of every reachable partial state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import networkx as nx

from rollcast.planner.capacity import excess, limits_of, need_of, sentence
from rollcast.planner.contracts import ContractGraph
from rollcast.planner.errors import UnsafePlan
from rollcast.planner.plan import Milestone, Operation, Plan, Serving, WorldState
from rollcast.planner.releases import Release, SlotVersion, instance_path


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that a plan breaks, and where."""

    invariant: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.invariant} at {self.where}: {self.what}"


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
    whole = _Whole(plan)
    forward = _Walk("the plan", plan, whole)
    start = WorldState(plan.start, plan.start_instances)
    states = [(start, forward.position())]
    for milestone in plan.milestones:
        yield from forward.go(milestone, plan.operations_of(milestone.index))
        states.append((WorldState(dict(forward.serving), dict(forward.instances)), forward.position()))
    yield from _reversible(plan, whole)


def _reversible(plan: Plan, whole: _Whole) -> Iterator[Violation]:
    """Each rollback leads to the start of its wave through safe states only."""
    origin = WorldState(plan.start, plan.start_instances)
    walk = _Walk("forward", plan, whole)
    for milestone in plan.milestones:
        list(walk.go(milestone, plan.operations_of(milestone.index)))
        way = plan.rollback_of(milestone.index)
        if way is None:
            if not milestone.point_of_no_return and milestone.title[:6] != "remove":
                yield Violation("reversible", milestone.title, "there is no way back before the contract milestone")
            origin = WorldState(dict(walk.serving), dict(walk.instances))
            continue
        back = walk.copy(f"rollback from {milestone.title}")
        for step in way.milestones:
            yield from back.go(step, [o for o in way.operations if o.milestone == step.index])
        if _shown(back.serving) != _shown(origin.serving):
            yield Violation(
                "reversible", milestone.title, "the way back does not end at the serving that it began with"
            )
        if set(back.instances) != set(origin.instances):
            odd = sorted(set(back.instances) ^ set(origin.instances))
            yield Violation("reversible", milestone.title, f"the way back leaves other instances: {', '.join(odd)}")


def _shown(serving: Serving) -> dict[str, tuple[tuple[str, float, str], ...]]:
    return {
        line: tuple((s.audience, s.percent, s.release) for s in shares) for line, shares in serving.items() if shares
    }


class _Whole:
    """Remembers which releases, and which releases with another content in one slot, are whole."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._whole: dict[str, str] = {}
        self._met: dict[tuple[str, str, str], str] = {}
        self._graphs: dict[str, ContractGraph] = {}

    def graph(self, release: Release) -> ContractGraph:
        """Contracts of the release against what its lines come from and go to."""
        if release.id not in self._graphs:
            old, new = release.slots, release.slots
            for line, target in self.plan.to_release.items():
                source = self.plan.from_release.get(line)
                if self.plan.lines[line].pipeline == release.pipeline and source:
                    old, new = self.plan.releases[source].slots, self.plan.releases[target].slots
                    break
            self._graphs[release.id] = ContractGraph(old, new)
        return self._graphs[release.id]

    def whole(self, release: Release) -> str:
        """What is broken within a release, or nothing."""
        if release.id not in self._whole:
            found = ContractGraph(release.slots, release.slots).broken(release.slots)
            self._whole[release.id] = "; ".join(str(clash) for clash in found)
        return self._whole[release.id]

    def meets(self, release: Release, slot: str, content: SlotVersion) -> str:
        """What is broken when requests of a release find this content in a slot that exists once."""
        key = (release.id, slot, content.identity)
        if key not in self._met:
            graph = self.graph(release)
            clashes = [
                str(clash)
                for other, version in release.slots.items()
                if other != slot
                for clash in graph.clashes(slot, content, other, version)
            ]
            self._met[key] = "; ".join(clashes)
        return self._met[key]


@dataclass
class _Walk:
    """Goes through milestones, keeping what serves, what exists, and which releases may still be in flight."""

    name: str
    plan: Plan
    whole: _Whole
    serving: Serving = field(default_factory=dict)
    instances: dict[str, tuple[str, str]] = field(default_factory=dict)
    in_flight: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not self.serving:
            self.serving, self.instances = dict(self.plan.start), dict(self.plan.start_instances)
            self.in_flight = _serving_now(self.serving)

    def copy(self, name: str) -> _Walk:
        return _Walk(name, self.plan, self.whole, dict(self.serving), dict(self.instances), set(self.in_flight))

    def position(self) -> frozenset[str]:
        return frozenset(self.in_flight)

    def go(self, milestone: Milestone, operations: Sequence[Operation]) -> Iterator[Violation]:
        """Check every state that can be observed on the way to a milestone, and move there.

        Within a milestone the worst order is taken: a release added by it may be in flight beside everything that the
        milestone does not order after it; what it retires is gone as early as its `after` allows.
        """
        order = _Order(operations)
        before, added = set(self.in_flight), set[str]()
        shifts = [o for o in operations if o.kind in ("shift", "flag")]
        for shift in shifts:
            added |= {share.release for share in milestone.serving.get(shift.line or "", ())}
        present = dict(self.instances)
        contents = {o.instance: o for o in operations if o.kind == "provision" and o.instance}
        for operation in contents.values():
            yield from self._swap(milestone, operation, order, operations, before, added, shifts)
            present[operation.instance or ""] = (operation.release or "", operation.component or "")
        yield from self._capacity(milestone, present)
        for release_id in sorted(added):
            yield from self._served(milestone, self.plan.releases[release_id], present, order, shifts, contents)
        self.serving.update(milestone.serving)
        self.instances = present
        now = _serving_now(self.serving)
        self.in_flight = before | added | now
        drains = [o for o in operations if o.kind == "drain"]
        for operation in operations:
            if operation.kind == "retire" and operation.instance:
                yield from self._retired(milestone, operation, drains, order, now)
                self.instances.pop(operation.instance, None)
        for drain in drains:
            if all(order.before(shift.id, drain.id) for shift in shifts):
                self.in_flight -= set(drain.drained) - now

    def _swap(
        self,
        milestone: Milestone,
        operation: Operation,
        order: _Order,
        operations: Sequence[Operation],
        before: set[str],
        added: set[str],
        shifts: Sequence[Operation],
    ) -> Iterator[Violation]:
        """An in-place change meets everything in flight that no drain has emptied before it."""
        folder = operation.instance or ""
        if folder not in self.instances or not operation.release or not operation.component:
            return
        emptied: set[str] = set()
        for drain in (o for o in operations if o.kind == "drain"):
            if order.before(drain.id, operation.id):
                emptied |= set(drain.drained) - _serving_now(self.serving)
        content = self.plan.releases[operation.release].slots[operation.component]
        later = {r for s in shifts if not order.before(s.id, operation.id) for r in self._adds(milestone, s)}
        old_release, old_slot = self.instances[folder]
        old = self.plan.releases[old_release].slots[old_slot]
        for name in sorted((before - emptied) | added):
            release = self.plan.releases[name]
            if not self._uses(release, operation.component, folder):
                continue
            broken = self.whole.meets(release, operation.component, content)
            if broken:
                yield Violation("per-request consistency", f"{self.name}, {milestone.title}", f"{name}: {broken}")
        unordered = {r for s in shifts if not order.before(operation.id, s.id) for r in self._adds(milestone, s)}
        for name in sorted(unordered & added - later | unordered):
            broken = self.whole.meets(self.plan.releases[name], operation.component, old)
            if broken and self._uses(self.plan.releases[name], operation.component, folder):
                yield Violation("per-request consistency", f"{self.name}, {milestone.title}", f"{name}: {broken}")

    @staticmethod
    def _adds(milestone: Milestone, shift: Operation) -> set[str]:
        return {share.release for share in milestone.serving.get(shift.line or "", ())}

    @staticmethod
    def _uses(release: Release, slot: str, folder: str) -> bool:
        return slot in release.slots and instance_path(release.pipeline, slot, release.slots[slot]) == folder

    def _served(
        self,
        milestone: Milestone,
        release: Release,
        present: Mapping[str, tuple[str, str]],
        order: _Order,
        shifts: Sequence[Operation],
        contents: Mapping[str, Operation],
    ) -> Iterator[Violation]:
        where = f"{self.name}, {milestone.title}"
        broken = self.whole.whole(release)
        if broken:
            yield Violation("per-request consistency", where, f"{release.id}: {broken}")
        for slot, version in release.slots.items():
            folder = instance_path(release.pipeline, slot, version)
            if folder not in present:
                yield Violation("per-request consistency", where, f"{release.id} needs {folder}, which is not there")
                continue
            if folder in contents and folder not in self.instances:
                adding = [s for s in shifts if release.id in self._adds(milestone, s)]
                if not all(order.before(contents[folder].id, s.id) for s in adding):
                    yield Violation(
                        "per-request consistency", where, f"{release.id} may be served before {folder} is ready"
                    )
            if version.in_place:
                found, name = present[folder]
                met = self.whole.meets(release, slot, self.plan.releases[found].slots[name])
                if met:
                    yield Violation("per-request consistency", where, f"{release.id}: {met}")
        for line, shares in milestone.serving.items():
            if any(share.release == release.id for share in shares):
                yield from self._residency(where, line, release)

    def _residency(self, where: str, line: str, release: Release) -> Iterator[Violation]:
        allowed = set(self.plan.lines[line].allowed_regions) if line in self.plan.lines else set()
        for slot, version in release.slots.items():
            if allowed and version.regions and not allowed.intersection(version.regions):
                text = (
                    f"{slot} of {release.id} runs in {', '.join(version.regions)}, outside {', '.join(sorted(allowed))}"
                )
                yield Violation("residency", where, text)

    def _retired(
        self,
        milestone: Milestone,
        operation: Operation,
        drains: Sequence[Operation],
        order: _Order,
        now: set[str],
    ) -> Iterator[Violation]:
        emptied: set[str] = set()
        for drain in drains:
            if order.before(drain.id, operation.id):
                emptied |= set(drain.drained)
        for name in sorted(self.in_flight - (emptied - now)):
            release = self.plan.releases[name]
            used = [instance_path(release.pipeline, slot, version) for slot, version in release.slots.items()]
            if operation.instance in used:
                text = f"{operation.instance} is retired while requests may be on {name}"
                yield Violation("per-request consistency", f"{self.name}, {milestone.title}", text)

    def _capacity(self, milestone: Milestone, present: Mapping[str, tuple[str, str]]) -> Iterator[Violation]:
        limits = limits_of(self.plan.settings)
        if not limits or len(present) <= len(self.instances):
            return
        slots = [self.plan.releases[release].slots[slot] for release, slot in present.values()]
        over = excess(need_of(slots, self.plan.settings), limits)
        if over:
            yield Violation("capacity", f"{self.name}, {milestone.title}", sentence(over))


class _Order:
    """Which operation of a milestone is surely done before another begins."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        graph = nx.DiGraph()
        names = {operation.id for operation in operations}
        graph.add_nodes_from(names)
        graph.add_edges_from((a, o.id) for o in operations for a in o.after if a in names)
        self._graph = graph
        self._below: dict[str, set[str]] = {}

    def before(self, first: str, then: str) -> bool:
        if first not in self._below:
            self._below[first] = nx.descendants(self._graph, first)
        return then in self._below[first]


def _serving_now(serving: Serving) -> set[str]:
    return {share.release for shares in serving.values() for share in shares}


def _graph(plan: Plan) -> Iterator[Violation]:
    """Ids are unique, `after` names known operations, the graph is acyclic, milestones come in order."""
    milestone_of: dict[str, int] = {}
    for operation in plan.operations:
        if operation.id in milestone_of:
            yield Violation("deterministic", operation.id, "two operations have this id")
        for earlier in operation.after:
            if earlier not in milestone_of and earlier not in {o.id for o in plan.operations_of(operation.milestone)}:
                yield Violation("deterministic", operation.id, f"waits for '{earlier}', which is not there")
        milestone_of[operation.id] = operation.milestone
    graph = nx.DiGraph([(a, o.id) for o in plan.operations for a in o.after])
    if not nx.is_directed_acyclic_graph(graph):
        yield Violation("deterministic", "operations", "they wait for each other in a circle")


def _cadence(plan: Plan) -> Iterator[Violation]:
    """One group at a time is under analysis in a line: others there are wholly on one release."""
    serving = dict(plan.start)
    for milestone in plan.milestones:
        serving = {**serving, **milestone.serving}
        for line, shares in serving.items():
            split = len({share.release for share in shares}) > 1
            if split and milestone.kind != "restore" and line not in milestone.lines and milestone.lines:
                yield Violation("cadence", milestone.title, f"line {line} is split while {milestone.step} is analysed")
            if len({share.release for share in shares}) > 2:
                yield Violation("cadence", milestone.title, f"line {line} serves more than two releases")


def _minimal(plan: Plan) -> Iterator[Violation]:
    """Nothing is done where nothing changed."""
    if not plan.changes and plan.operations and not any(m.title[:6] == "remove" for m in plan.milestones):
        idle = set(plan.start_instances) - {
            instance_path(plan.releases[r].pipeline, s, v)
            for r in plan.to_release.values()
            for s, v in plan.releases[r].slots.items()
        }
        if not idle:
            yield Violation("minimal", "the plan", "operations without a change")
