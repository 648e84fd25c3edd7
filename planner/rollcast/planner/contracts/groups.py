"""Synchronization groups: which changed slots must switch together, and which must come first.

For each contract edge whose two ends both change there are two mixed pairs, and the table of the specification
decides: both fine - free; one broken - an order; both broken - together. Groups are the strongly connected
components of these constraints, in an order that honours them and is otherwise that of the data flow.

A node is a slot of one line; a slot that changes in place is one node for every line that uses it, so it carries the
constraints of all of them.

Long because the constraints and the grouping that they lead to are one argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rollcast.planner.contracts.edges import ContractGraph, Slots, wiring
from rollcast.planner.declaration.models import Strategy
from rollcast.planner.releases.releases import Release, Track, default_of

if TYPE_CHECKING:
    import networkx as nx

Node = tuple[str, str]  # (track, slot); (IN_PLACE + pipeline, slot) for a slot that exists once
IN_PLACE = "="
FIRST_RELEASE = "first-release"


@dataclass(frozen=True, slots=True)
class Constraint:
    """`first` before `then`, because of `reason`."""

    first: Node
    then: Node
    reason: str


@dataclass(frozen=True, slots=True)
class Tie:
    """Changed slots of a track that its rollout switches together, where that is possible, and the words for it."""

    line: str
    slots: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SynchronizationGroup:
    """Slots that switch in one step, for the tracks that they belong to, and why this is so."""

    members: tuple[Node, ...]
    lines: tuple[str, ...]
    slots: tuple[str, ...]
    in_place: bool
    together: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    first: bool = False

    @property
    def name(self) -> str:
        return FIRST_RELEASE if self.first else "+".join(self.slots)


def flow_order(slots: Slots) -> dict[str, int]:
    """Each slot's place in the data flow: as late as its consumers allow, what is attached to a slot just before it.

    So an index comes before a reranker, and a reranker before the prompt of the generator that it feeds.
    """
    consumers = dict.fromkeys(slots, 0)
    for slot in slots.values():
        for up in slot.upstream:
            if up in consumers:
                consumers[up] += 1
    below = dict.fromkeys(slots, 1)
    ready = [name for name, count in consumers.items() if not count]
    while ready:
        name = ready.pop()
        for up in slots[name].upstream:
            if up in consumers:
                below[up] = max(below[up], below[name] + 1)
                consumers[up] -= 1
                if not consumers[up]:
                    ready.append(up)
    ordered = sorted(slots, key=lambda name: (-below[name], "." in name, name))
    return {name: place for place, name in enumerate(ordered)}


def changed_slots(old: Slots, new: Slots) -> list[str]:
    """Names of the slots that are not the same on both sides."""
    return sorted(
        name for name in {*old, *new} if name not in old or name not in new or old[name].identity != new[name].identity
    )


def node_of(track: str, pipeline: str, slot: str, in_place: frozenset[Node]) -> Node:
    """The node of a slot, shared between tracks when it exists only once."""
    if (pipeline, slot) in in_place:
        return (IN_PLACE + pipeline, slot)
    if ("", slot) in in_place:
        return (IN_PLACE, slot)
    return (track, slot)


def in_place_slots(live: Mapping[str, Release], declared: Mapping[str, Release]) -> frozenset[Node]:
    """(pipeline, slot) of every slot that exists once; (\"\", slot) of those shared between pipelines.

    What was once overwritten for lack of room is free to run side by side the next time.
    """
    found: set[Node] = set()
    for side in (live, declared):
        for release in side.values():
            for name, slot in release.slots.items():
                if slot.shared:
                    found.add(("", name))
                elif slot.in_place and not (slot.held_in and side is live):
                    found.add((release.pipeline, name))
    return frozenset(found)


def group(
    live: Mapping[str, Release],
    declared: Mapping[str, Release],
    in_place: frozenset[Node],
    ties: Iterable[Tie],
) -> list[SynchronizationGroup]:
    """The synchronization groups of everything that changes, in the order in which they switch. `ties` hold them too.

    `live` holds what each track comes from. A channel that comes from nothing while the default one serves is released
    first: its requests may not be served by what that track serves on the way.
    """
    constraints: list[Constraint] = []
    nodes: dict[Node, tuple[int, int, str]] = {}
    members: dict[Node, list[str]] = {}
    for position, (name, release) in enumerate(declared.items()):
        if name not in live:
            continue
        old = live[name].slots
        places = flow_order(release.slots)
        changed = changed_slots(old, release.slots)
        for slot in changed:
            node = node_of(name, release.pipeline, slot, in_place)
            key = (position, places.get(slot, -1), slot)
            nodes[node] = min(nodes.get(node, key), key)
            members.setdefault(node, []).append(name)
        constraints.extend(_constraints(name, release, old, set(changed), in_place))
    for tie in ties:
        constraints.extend(_together(tie.line, declared[tie.line].pipeline, tie.slots, tie.reason, in_place))
    unserved = [track for track in declared if track not in live]
    # Channels first: until one begins, the default channel would take its requests.
    first = [_first(track, declared[track]) for track in sorted(unserved, key=lambda track: track == default_of(track))]
    early = [one for one in first if default_of(one.lines[0]) in live]
    return [*early, *_order(nodes, members, constraints), *(one for one in first if one not in early)]


def _first(track: str, release: Release) -> SynchronizationGroup:
    """A track that nothing serves yet: its whole release is one group, for no old version is there."""
    slots = tuple(sorted(release.slots, key=flow_order(release.slots).__getitem__))
    members = tuple((track, slot) for slot in slots)
    return SynchronizationGroup(
        members, (track,), slots, in_place=False, together=("nothing is served there yet",), first=True
    )


def _constraints(
    track: str, release: Release, old: Slots, changed: set[str], in_place: frozenset[Node]
) -> Iterable[Constraint]:
    graph = ContractGraph(old, release.slots)

    def node(slot: str) -> Node:
        return node_of(track, release.pipeline, slot, in_place)

    for u, v in graph.edges():
        if u not in changed or v not in changed:
            continue
        down_first = graph.why_not(u, old.get(u), v, release.slots.get(v))
        up_first = graph.why_not(u, release.slots.get(u), v, old.get(v))
        if down_first:
            yield Constraint(node(u), node(v), down_first)
        if up_first:
            yield Constraint(node(v), node(u), up_first)
    rewired = _rewired(old, release.slots)
    yield from _together(track, release.pipeline, rewired, "only the old wiring or the new one may serve", in_place)


def _together(
    track: str, pipeline: str, slots: Sequence[str], reason: str, in_place: frozenset[Node]
) -> Iterable[Constraint]:
    for one, other in pairwise(node_of(track, pipeline, slot, in_place) for slot in slots):
        yield Constraint(one, other, reason)
        yield Constraint(other, one, reason)


def _rewired(old: Slots, new: Slots) -> list[str]:
    """Slots that are added, removed, or have another upstream: between the two wirings nothing may serve."""
    before, after = wiring(old), wiring(new)
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def declared_ties(
    live: Mapping[str, Release], declared: Mapping[str, Release], tracks: Mapping[str, Track]
) -> Iterable[Tie]:
    """What each track's rollout switches together. What exists once keeps its own turn in a single switch."""
    for track, release in declared.items():
        changed = changed_slots(live[track].slots, release.slots) if track in live else []
        rule = tracks[track].rollout
        for names in rule.ship_together:
            yield Tie(track, tuple(slot for slot in names if slot in changed), "declared to ship together")
        if rule.strategy in (Strategy.BLUE_GREEN, Strategy.ALL_AT_ONCE):
            twice = tuple(s for s in changed if s not in release.slots or not release.slots[s].in_place)
            yield Tie(track, twice, f"strategy {rule.strategy.value}: one switch")


def _order(
    nodes: Mapping[Node, tuple[int, int, str]],
    members: Mapping[Node, list[str]],
    constraints: list[Constraint],
) -> list[SynchronizationGroup]:
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(sorted(nodes))
    reasons: dict[tuple[Node, Node], str] = {}
    for constraint in constraints:
        if constraint.first != constraint.then:
            graph.add_edge(constraint.first, constraint.then)
            reasons.setdefault((constraint.first, constraint.then), constraint.reason)
    condensed = nx.condensation(graph)
    key = {c: min(nodes[n] for n in condensed.nodes[c]["members"]) for c in condensed}
    ordered = list(nx.lexicographical_topological_sort(condensed, key=key.__getitem__))
    return [_group(graph, condensed.nodes[c]["members"], nodes, members, reasons) for c in ordered]


def _group(
    graph: nx.DiGraph,
    found: set[Node],
    nodes: Mapping[Node, tuple[int, int, str]],
    members: Mapping[Node, list[str]],
    reasons: Mapping[tuple[Node, Node], str],
) -> SynchronizationGroup:
    ordered = sorted(found, key=nodes.__getitem__)
    inside = [reasons[e] for e in sorted(graph.subgraph(found).edges)]
    before = [
        f"{u[1]} before {v[1]}: {reasons[(u, v)]}"
        for v in ordered
        for u in sorted(graph.predecessors(v))
        if u not in found
    ]
    tracks = dict.fromkeys(track for node in ordered for track in members[node])
    return SynchronizationGroup(
        members=tuple(ordered),
        lines=tuple(tracks),
        slots=tuple(dict.fromkeys(slot for _, slot in ordered)),
        in_place=any(name.startswith(IN_PLACE) for name, _ in ordered),
        together=tuple(dict.fromkeys(inside)),
        after=tuple(dict.fromkeys(before)),
    )
