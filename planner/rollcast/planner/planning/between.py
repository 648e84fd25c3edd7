"""Releases between the one that serves and the declared one: what can't run twice changed apart from its wiring.

What exists once and must switch together with other slots has no safe moment of its own. Where wiring and versions need
not change in one step, an order may be safe after all: through releases that have the wiring of one side and, slot by
slot, the versions of either. Each of them has a declared wiring and declared versions, and all of these may serve
together. The search is a breadth-first one, so that the way found has the fewest steps, and is bounded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from rollcast.planner.contracts.edges import ContractGraph
from rollcast.planner.contracts.groups import IN_PLACE, Node, changed_slots, node_of
from rollcast.planner.releases.releases import Release, SlotVersion

Releases = Mapping[str, Release]
State = frozenset[Node]  # what is new already; (pipeline, "") is the wiring
MOST_CHANGES = 10  # 1,024 states, judged in under a second


def between(before: Releases, declared: Releases, in_place: frozenset[Node]) -> list[dict[str, Release]]:
    """What the tracks are served by on the fewest steps of which each may serve; empty where there is no such way.

    A step overwrites one slot that exists once, or moves requests to another release, at once or by stages, while what
    exists once stays. Tracks that come from nothing go straight to what is declared.
    """
    search = _Search(before, declared, in_place)
    return [search.releases(state) for state in search.way()] if 1 < len(search.changes) <= MOST_CHANGES else []


class _Search:
    def __init__(self, before: Releases, declared: Releases, in_place: frozenset[Node]) -> None:
        self.before, self.declared, self.in_place = before, declared, in_place
        self._safe: dict[State, bool] = {}

    @cached_property
    def changes(self) -> list[Node]:
        """What is old or new: slots of both sides, once for all tracks that share them, and the wiring of pipelines."""
        found: dict[Node, None] = {}
        for track, new in self.declared.items():
            old = self.before.get(track)
            for slot in changed_slots(old.slots, new.slots) if old else ():
                found[new.pipeline, ""] = None
                if old and slot in old.slots and slot in new.slots and _differs(old.slots[slot], new.slots[slot]):
                    found[self._node(new.pipeline, slot)] = None
        return sorted(found)

    @cached_property
    def once(self) -> list[Node]:
        """Of these, what is overwritten."""
        return [node for node in self.changes if node[0].startswith(IN_PLACE)]

    @cached_property
    def graphs(self) -> dict[str, ContractGraph]:
        both = [track for track in self.declared if track in self.before]
        return {track: ContractGraph(self.before[track].slots, self.declared[track].slots) for track in both}

    def _node(self, pipeline: str, slot: str) -> Node:
        """A slot for every track of its pipeline."""
        return node_of(pipeline, pipeline, slot, self.in_place)

    def way(self) -> list[State]:
        """The states between the first and the last, on a shortest way through safe ones."""
        first, last = frozenset[Node](), frozenset(self.changes)
        came_from: dict[State, State] = {first: first}
        pending = [first]
        for state in pending:
            if state == last:
                break
            for following in self._steps(state):
                if following not in came_from and self.safe(following):
                    came_from[following] = state
                    pending.append(following)
        if last not in came_from:
            return []
        found, state = list[State](), came_from[last]
        while state != first:
            found.append(state)
            state = came_from[state]
        return found[::-1]

    def _steps(self, state: State) -> Iterator[State]:
        for node in self.once:
            yield state ^ {node}
        held = state.intersection(self.once)
        twice = [node for node in self.changes if node not in self.once]
        for count in range(len(twice), -1, -1):  # as much as may be at once, so that steps are few
            for chosen in itertools.combinations(twice, count):
                yield held | frozenset(chosen)

    def safe(self, state: State) -> bool:
        """Whether everything in each track's release may serve together, and lacks nothing that it requires."""
        if state not in self._safe:
            found = self.releases(state)
            self._safe[state] = not any(graph.unfit(found[track].slots) for track, graph in self.graphs.items())
        return self._safe[state]

    def releases(self, state: State) -> dict[str, Release]:
        return {
            track: self._mixed(self.before[track], new, state) if track in self.before else new
            for track, new in self.declared.items()
        }

    def _mixed(self, old: Release, new: Release, state: State) -> Release:
        """A release of this state. Flags that are switched off are off, others are as before."""
        shape = new if (new.pipeline, "") in state else old
        slots: dict[str, SlotVersion] = {}
        for name, slot in shape.slots.items():
            side = new if self._node(new.pipeline, name) in state else old
            version = side.slots.get(name, slot) if name in old.slots and name in new.slots else slot
            slots[name] = version.model_copy(update={"upstream": slot.upstream})
        flags = {name: value for name, value in old.flags.items() if not value or new.flags.get(name)}
        return Release(pipeline=new.pipeline, slots=slots, flags=flags)


def _differs(one: SlotVersion, other: SlotVersion) -> bool:
    """Whether two versions differ in more than their wiring."""
    return one.model_copy(update={"upstream": other.upstream}).identity != other.identity


def switched(before: Releases, after: Releases) -> Sequence[tuple[str, tuple[str, ...]]]:
    """The slots of each track that one step of the way changes."""
    tracks = [track for track in after if track in before]
    return [(track, tuple(changed_slots(before[track].slots, after[track].slots))) for track in tracks]


__all__ = ["between", "switched"]
