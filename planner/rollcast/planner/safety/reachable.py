"""What can be observed on the way to a milestone, decided without enumerating it.

Milestones are barriers; within one, an operation may be done before any other that does not wait for it. Slots that run
side by side are pinned by the release that a request carries from its entry, so only whole releases serve there. A slot
that exists once shows every request its present content: each new content is judged against what requests in
flight may have reached before it and may reach beside it. One exception makes this exact: a request that must pass a
before b can't reach a later content of a after an earlier one of b.

Long because one judge of one step answers for every kind of operation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rollcast.planner.capacity.fit import Need, excess, need_of, sentence
from rollcast.planner.plan.models import Milestone, Operation
from rollcast.planner.plan.precedence import Precedence
from rollcast.planner.safety.cluster_state import ClusterState, Contents, InvariantViolation, Reached
from rollcast.planner.safety.compatibility import Content


def go(
    world: ClusterState, where: str, milestone: Milestone, operations: Sequence[Operation], halfway: bool = False
) -> Iterator[InvariantViolation]:
    """Judge everything that can be observed on the way to a milestone, and move the world there.

    `halfway` moves it to the worst of all states between, where any operation may be undone yet: rollbacks begin there.
    """
    step = _Step(world, where, milestone, operations)
    yield from step.judge()
    step.move(halfway)


class _Step:
    """The way to one milestone."""

    def __init__(self, world: ClusterState, where: str, milestone: Milestone, operations: Sequence[Operation]) -> None:
        self.world, self.compatibility = world, world.compatibility
        self.where, self.milestone = where, milestone
        self.order = Precedence(operations)
        self.shift_of = {o.line or "": o for o in operations if o.kind in ("shift", "flag")}
        self.drains = [o for o in operations if o.kind == "drain"]
        self.retires = [o for o in operations if o.kind == "retire" and o.instance]
        provisions = [o for o in operations if o.kind == "provision" and o.instance and o.release and o.component]
        self.fresh = {_folder(o): o for o in provisions if o.instance not in world.instances}
        self.swaps = [
            o for o in provisions if o.instance in world.instances and not self._holds(_folder(o), _content(o))
        ]
        self.to = {track: frozenset(s.release for s in shares) for track, shares in milestone.serving.items()}

    def _holds(self, folder: str, content: Content) -> bool:
        """Whether a folder surely holds this already."""
        wanted = self.compatibility.content(content).identity
        return all(self.compatibility.content(one).identity == wanted for one in self.world.instances[folder])

    def judge(self) -> Iterator[InvariantViolation]:
        for track in sorted(self.to):
            if track not in self.shift_of:
                yield self._broken("deterministic", f"channel {track} is served otherwise without a shift")
            for release in sorted(self.to[track]):
                yield from self._added(track, release)
        for swap in self.swaps:
            yield from self._swap(swap)
        for retire in self.retires:
            yield from self._retire(retire)
        for track in self.compatibility.takers:
            yield from self._taken(track)
        yield from self._capacity()

    def _broken(self, invariant: str, what: str) -> InvariantViolation:
        return InvariantViolation(invariant, f"{self.where}, {self.milestone.title}", what)

    def _mixed(self, release: str, why: str) -> InvariantViolation:
        return self._broken("per-request consistency", f"{release}: {why}")

    # ---- releases that are served from now on ---------------------------------------------------

    def _added(self, track: str, release: str) -> Iterator[InvariantViolation]:
        if release in self.world.routed.get(track, ()) and not self.world.unsure:
            return
        broken = self.compatibility.whole(track, release)
        if broken:
            yield self._mixed(release, broken)
        for slot, folder in self.compatibility.folders(release).items():
            yield from self._exists(track, release, slot, folder)
        yield from self._residency(track, release)
        reached = self._reached_on_entry(track, release)
        for folder, contents in reached.items():
            for content in sorted(contents):
                yield from self._judge(track, release, folder, content, reached)

    def _exists(self, track: str, release: str, slot: str, folder: str) -> Iterator[InvariantViolation]:
        held = self.world.instances.get(folder)
        if held is not None and folder not in self.world.unsure:
            if folder not in self.compatibility.once(release) and not self.compatibility.is_all(held, release, slot):
                yield self._mixed(release, f"needs {folder}, which holds something else")
            return
        fresh = self.fresh.get(folder)
        if fresh is None:
            yield self._mixed(release, f"needs {folder}, which is not there")
        elif track in self.shift_of and not self.order.before(fresh.id, self.shift_of[track].id):
            yield self._mixed(release, f"may be served before {folder} is ready")

    def _reached_on_entry(self, track: str, release: str) -> Reached:
        """Contents that a request may reach, which begins once the track is shifted."""
        if not self.compatibility.once(release):
            return {}
        shift = self.shift_of.get(track)
        swapped: Reached = {folder: frozenset([_content(fresh)]) for folder, fresh in self.fresh.items()}
        for swap in self.swaps:
            folder, new = _folder(swap), frozenset([_content(swap)])
            done = shift is not None and self.order.before(swap.id, shift.id)
            swapped[folder] = new if done else self.world.instances[folder] | new
        return self.world.enter(release, swapped)

    def _residency(self, track: str, release: str) -> Iterator[InvariantViolation]:
        for what in self.compatibility.outside(track, release):
            yield self._broken("residency", what)

    def _taken(self, track: str) -> Iterator[InvariantViolation]:
        """What a track's requests reach on the tracks that take them while it serves nothing."""
        ends, begins = track in self.to and not self.to[track], bool(self.to.get(track))
        mine, found = self.shift_of.get(track), set[str]()
        for other in self.compatibility.takers[track] if ends or self.world.hollow[track] else ():
            its = self.shift_of.get(other) if other in self.to else None
            before = self.world.routed.get(other, frozenset())
            in_order = mine is not None and its is not None
            if ends:
                found |= self.to.get(other, before)
                if not (in_order and mine and its and self.order.before(its.id, mine.id)):
                    found |= before
            elif other in self.to and not (begins and in_order and mine and its and self.order.before(mine.id, its.id)):
                found |= self.to[other]
            serves = before and not self.world.hollow.get(other, True) and self.to.get(other, before)
            if serves and self.compatibility.takes_all(track, other):
                break  # the tracks after it see none of them
        for release in sorted(found):
            yield from self._residency(track, release)

    # ---- slots that exist once ------------------------------------------------------------------

    def _judge(
        self, track: str, release: str, folder: str, content: Content, reached: Reached, swap: Operation | None = None
    ) -> Iterator[InvariantViolation]:
        """A content of one slot against the rest of the release, and against contents of other slots that exist once.

        With `swap`, `reached` is from before the content came: where the flow leads from this slot to the other one, a
        request reaches only what is there now.
        """
        once = self.compatibility.once(release)
        slot = once[folder]
        folders = self.compatibility.folders(release)
        for other in self.compatibility.neighbours(track, slot):
            place = folders.get(other)
            candidates: frozenset[Content | None] = frozenset([(release, other) if place else None])
            if place in once:
                candidates = self._beside(place, swap) if swap else frozenset()
                if swap is None or not self.compatibility.leads(release, slot, other):
                    candidates |= reached.get(place, frozenset())
            for its in sorted(candidates, key=str):
                seen = self.compatibility.seen(release, content), self.compatibility.seen(release, its) if its else None
                why = self.compatibility.pair(track, release, slot, seen[0], other, seen[1])
                if why:
                    yield self._mixed(release, why)

    def _beside(self, folder: str, swap: Operation) -> Contents:
        """What a folder may hold while a swap of another one is just done."""
        held = self.world.instances.get(folder, frozenset())
        for other in self.swaps:
            if _folder(other) != folder or self.order.before(swap.id, other.id):
                continue
            new = frozenset([_content(other)])
            held = new if self.order.before(other.id, swap.id) else held | new
        return held

    def _swap(self, swap: Operation) -> Iterator[InvariantViolation]:
        """A new content is reached by everything in flight that no drain has emptied before it."""
        folder, content = _folder(swap), _content(swap)
        for track in self.compatibility.tracks_of(folder):
            for release, reached in sorted(self.world.flying.get(track, {}).items()):
                if folder in reached and not self._emptied(track, release, swap):
                    left = self._still(self._left(release, reached, swap), swap)
                    yield from self._judge(track, release, folder, content, left, swap)

    def _left(self, release: str, reached: Reached, then: Operation | None = None) -> Reached:
        """What a release's requests may have reached, once every drain before `then` that names it is done.

        They began after the drain did, where their track still goes to the release: they reached what was there since.
        """
        for drain in self.drains:
            if release in drain.drained and (then is None or self.order.before(drain.id, then.id)):
                reached = {
                    folder: self._held_at(folder, drain) if folder in self.world.instances else had
                    for folder, had in reached.items()
                }
        return reached

    def _held_at(self, folder: str, drain: Operation) -> Contents:
        """What a folder may hold when a drain begins, but for swaps that may come later."""
        before = [o for o in self.swaps if _folder(o) == folder and self.order.before(o.id, drain.id)]
        if before:
            return frozenset(map(_content, before))
        return self.world.instances[folder]

    def _still(self, reached: Reached, swap: Operation) -> Reached:
        """Contents reached before or while a swap is done: those of other swaps too, unless they wait for it."""
        seen = dict(reached)
        for other in self.swaps:
            if other is not swap and _folder(other) in seen and not self.order.before(swap.id, other.id):
                seen[_folder(other)] |= {_content(other)}
        return seen

    def _emptied(self, track: str, release: str, then: Operation) -> bool:
        """Whether a drain ends all requests of a release before an operation, and none begins again before it."""
        begins = self.shift_of.get(track) if release in self.to.get(track, ()) else None
        if begins is not None and not self.order.before(then.id, begins.id):
            return False
        return any(self.order.before(d.id, then.id) and self._ends(track, release, d) for d in self.drains)

    def _ends(self, track: str, release: str, drain: Operation) -> bool:
        """Whether a drain ends the requests that a track sent to a release: it sends none once the drain begins."""
        if release not in drain.drained:
            return False
        if release not in self.world.routed.get(track, ()):
            return True
        shift = self.shift_of.get(track)
        leaves = shift is not None and track in self.to and release not in self.to[track]
        return leaves and shift is not None and self.order.before(shift.id, drain.id)

    def _retire(self, retire: Operation) -> Iterator[InvariantViolation]:
        folder = retire.instance or ""
        for track in self.compatibility.tracks_of(folder):
            kept = self.to.get(track, self.world.routed.get(track, frozenset()))
            for release in sorted({*self.world.flying.get(track, ()), *kept}):
                if folder not in self.world.plan.releases[release].instances:
                    continue
                if release in kept or not self._emptied(track, release, retire):
                    yield self._mixed(release, f"{folder} is retired while requests may be on it")

    # ---- capacity -------------------------------------------------------------------------------

    def _difference(self) -> tuple[Need, Need]:
        """(the most that may be needed on the way, what is needed afterwards), as differences from now."""
        settings = self.world.plan.settings
        most: Need = Counter()
        after: Need = Counter()
        for fresh in self.fresh.values():
            added = need_of([self.compatibility.content(_content(fresh))], settings)
            most.update(added)
            after.update(added)
        for swap in self.swaps:
            new = need_of([self.compatibility.content(_content(swap))], settings)
            old = need_of([self.compatibility.content(max(self.world.instances[_folder(swap)]))], settings)
            for key in sorted({*new, *old}):
                most[key] += max(0, new[key] - old[key])
                after[key] += new[key] - old[key]
        for retire in self.retires:
            held = self.world.instances.get(_folder(retire))
            if held:
                after.subtract(need_of([self.compatibility.content(max(held))], settings))
        return most, after

    def _capacity(self) -> Iterator[InvariantViolation]:
        if self.world.limits and (self.fresh or self.swaps):
            most, _ = self._difference()
            need: Need = Counter(self.world.need)
            need.update(most)
            over = excess(need, self.world.limits)
            if over:
                yield self._broken("capacity", sentence(over))

    # ---- move -----------------------------------------------------------------------------------

    def move(self, halfway: bool) -> None:
        world = self.world
        for track in self._touched():
            flying = self._flying_after(track, halfway)
            if flying != world.flying.get(track, {}):
                world.put(world.flying, track, flying)
        if world.limits:
            for resource, change in self._difference()[1].items():
                world.put(world.need, resource, world.need[resource] + change)
        for folder, fresh in self.fresh.items():
            world.put(world.instances, folder, frozenset([_content(fresh)]))
            if halfway:
                world.put(world.unsure, folder, True)
        for swap in self.swaps:
            held = world.instances[_folder(swap)] if halfway else frozenset()
            world.put(world.instances, _folder(swap), held | {_content(swap)})
        for retire in self.retires:
            world.remove(world.instances, retire.instance)
        for track in world.hollow.keys() & self.to.keys():
            world.put(world.hollow, track, not self.to[track] or (halfway and world.hollow[track]))
        for track, releases in self.to.items():
            before = world.routed.get(track, frozenset()) if halfway else frozenset()
            world.put(world.routed, track, before | releases)

    def _touched(self) -> list[str]:
        """Tracks whose requests in flight this step may change."""
        tracks = dict.fromkeys(self.to)
        for swap in self.swaps:
            tracks.update(dict.fromkeys(self.compatibility.tracks_of(_folder(swap))))
        for drain in self.drains:
            for release in drain.drained:
                tracks.update(dict.fromkeys(self.compatibility.lines_serving(release)))
        return list(tracks)

    def _flying_after(self, track: str, halfway: bool) -> dict[str, Reached]:
        flying: dict[str, Reached] = {}
        if not self.swaps and not self.drains:
            flying.update(self.world.flying.get(track, {}))
        for release, reached in () if flying else self.world.flying.get(track, {}).items():
            if not halfway and any(self._ends(track, release, drain) for drain in self.drains):
                continue
            seen = dict(reached if halfway else self._left(release, reached))
            for swap in self.swaps:
                if _folder(swap) in seen and not self._emptied(track, release, swap):
                    seen[_folder(swap)] |= {_content(swap)}
            flying[release] = seen
        for release in self.to.get(track, ()):
            entry = self._reached_on_entry(track, release)
            before = flying.get(release, {})
            flying[release] = {folder: contents | before.get(folder, frozenset()) for folder, contents in entry.items()}
        return flying


def _folder(operation: Operation) -> str:
    return operation.instance or ""


def _content(operation: Operation) -> Content:
    return operation.release or "", operation.component or ""


__all__ = ["go"]
