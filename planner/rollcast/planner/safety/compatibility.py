"""Which versions break each other on one request's path. Answers are remembered; plans ask often.

Contracts are those between what a track comes from and what it goes to, so that an edge about which nothing is declared
binds the versions of one generation together.
"""

from __future__ import annotations

from collections.abc import Iterable

from rollcast.planner.contracts.edges import ContractGraph, Edge, flow_of
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import SHARED, SlotVersion
from rollcast.planner.routing.residency import outside, runs_in, takers, within

Content = tuple[str, str]  # (release id, slot): the version that fills this slot of this release


class Compatibility:
    """Decides, for the releases of one plan, what may serve together with what."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._graphs: dict[tuple[str, str], ContractGraph] = {}
        self._graph_of: dict[str, ContractGraph] = {}
        self._whole: dict[tuple[int, str], str] = {}
        self._pairs: dict[tuple[int, str, Content, str, Content | None, bool], str] = {}
        self._flows: dict[str, set[Edge]] = {}
        self._once: dict[str, dict[str, str]] = {}
        self._lines: dict[str, list[str]] = {}
        self.takers = {track: found for track, found in takers(plan.lines).items() if plan.lines[track].allowed_regions}
        self._live: dict[str, set[tuple[str, str]]] = {}
        self._within: dict[tuple[str, str], bool] = {}
        self._everywhere = list(dict.fromkeys([*plan.lines, *plan.start]))
        for track in self._everywhere:
            self._lines.setdefault(plan.pipeline_of[track], []).append(track)

    def content(self, content: Content) -> SlotVersion:
        """The version that a content stands for."""
        return self.plan.releases[content[0]].slots[content[1]]

    def seen(self, release: str, content: Content) -> Content:
        """A content as a request of a release sees it: what runs is the same, and the release says how it is wired."""
        own = self.plan.releases[release].slots.get(content[1])
        if own is not None and own.instance_id == self.content(content).instance_id:
            return release, content[1]
        return content

    def takes_all(self, track: str, other: str) -> bool:
        """Whether a track that serves takes every request that another one leaves."""
        if (track, other) not in self._within:
            self._within[track, other] = within(self.plan.lines[track], self.plan.lines[other])
        return self._within[track, other]

    def outside(self, track: str, release: str) -> list[str]:
        """Where a track's requests would leave the regions that it allows, but for what they reach already."""
        rules = self.plan.lines.get(track)
        if rules is None or not rules.allowed_regions:
            return []
        if track not in self._live:
            own = self.plan.start.get(track, ())
            shares = own or [s for other in self.takers.get(track, ()) for s in self.plan.start.get(other, ())]
            found = {s.release for s in shares}
            self._live[track] = {(n, v.instance_id) for r in found for n, v in self.plan.releases[r].slots.items()}
        everywhere = tuple(self.plan.settings.regions)
        may = ", ".join(sorted(rules.allowed_regions))
        return [
            f"{slot} of {release} runs in {', '.join(runs_in(version, everywhere))}, outside {may}, "
            f"which {track} allows"
            for slot, version in outside(rules, self.plan.releases[release], everywhere)
            if (slot, version.instance_id) not in self._live[track]
        ]

    def is_all(self, held: Iterable[Content], release: str, slot: str) -> bool:
        """Whether what a folder may hold is what a release needs of a slot."""
        runs = self.content((release, slot)).instance_id
        return all(self.content(one).instance_id == runs for one in held)

    def folders(self, release: str) -> dict[str, str]:
        """Slot -> folder of the instance that serves it."""
        return self.plan.releases[release].folders

    def once(self, release: str) -> dict[str, str]:
        """Folder -> slot of those slots whose versions share one folder."""
        if release not in self._once:
            slots = self.plan.releases[release].slots
            self._once[release] = {f: n for n, f in self.folders(release).items() if slots[n].in_place}
        return self._once[release]

    def tracks_of(self, folder: str) -> list[str]:
        """Tracks whose requests may use an instance: those of its pipeline, or all when it is shared."""
        owner = folder.split("/", 1)[0]
        return self._everywhere if owner == SHARED else self._lines.get(owner, [])

    def lines_serving(self, release: str) -> list[str]:
        """Tracks that may serve a release."""
        return self._lines.get(self.plan.releases[release].pipeline, [])

    def graph(self, track: str) -> ContractGraph:
        """Contracts between what a track comes from and goes to; another track takes over from one that goes."""
        if track not in self._graph_of:
            ids = [name for name in self.plan.ends_of(track) if name]
            ends = (ids[0], ids[-1])
            if ends not in self._graphs:
                self._graphs[ends] = ContractGraph(*(self.plan.releases[name].slots for name in ends))
            self._graph_of[track] = self._graphs[ends]
        return self._graph_of[track]

    def whole(self, track: str, release: str) -> str:
        """What is broken within a release that a track serves, or nothing."""
        graph = self.graph(track)
        key = (id(graph), release)
        if key not in self._whole:
            self._whole[key] = "; ".join(graph.unfit(self.plan.releases[release].slots))
        return self._whole[key]

    def neighbours(self, track: str, slot: str) -> list[str]:
        """Slots that constrain a slot in a track."""
        return [v if u == slot else u for u, v in self.graph(track).edges_of([slot])]

    def pair(self, track: str, release: str, slot: str, content: Content, other: str, its: Content | None) -> str:
        """Why these contents in these two slots (None: not there) may not serve a request of a release, or nothing."""
        graph = self.graph(track)
        if release not in self._flows:
            self._flows[release] = flow_of(self.plan.releases[release].slots)
        flow = self._flows[release]
        key = (id(graph), slot, content, other, its, (slot, other) in flow or (other, slot) in flow)
        if key not in self._pairs:
            there = self.content(its) if its else None
            self._pairs[key] = graph.why_not(slot, self.content(content), other, there, flow)
        return self._pairs[key]

    def leads(self, release: str, slot: str, other: str) -> bool:
        """Whether a request surely passes `slot` before it reaches `other`."""
        slots = self.plan.releases[release].slots
        pending, seen = [other], set[str]()
        while pending:
            for up in slots[pending.pop()].upstream:
                if up == slot:
                    return True
                if up not in seen and up in slots:
                    seen.add(up)
                    pending.append(up)
        return False


__all__ = ["Compatibility", "Content"]
