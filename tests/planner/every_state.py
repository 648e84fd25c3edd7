"""Brute force: every state that a plan can reach, and every request that can be in flight in it.

Knows nothing of how the planner decides. It runs the operations of a milestone in every order that `after` allows, lets
a crash turn any such state into a rollback, lets requests begin wherever traffic is routed, be as slow as they like
until a drain ends them, and pass the slots in every order that the data flow allows. What serves a request is compared
pair by pair with what the versions themselves require. For small plans only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from rollcast.planner.base.audiences import matches, parse
from rollcast.planner.base.values import satisfies
from rollcast.planner.declaration.models import Requirement
from rollcast.planner.plan.models import Milestone, Operation, Plan, Serving, Share
from rollcast.planner.releases.releases import SlotVersion, instance_path
from rollcast.planner.routing.split import Router

Done = frozenset[str]  # ids of finished operations; "begun:ID" for a drain under way


@dataclass(frozen=True)
class Flight:
    """A request under way: its track, the release that it carries, what it reached, and the drains it is older than."""

    line: str
    release: str
    reached: frozenset[tuple[str, tuple[str, str]]] = frozenset()  # (slot that exists once, content)
    older_than: frozenset[str] = frozenset()


@dataclass
class State:
    """What serves, what exists, who is in flight."""

    serving: dict[str, tuple[Share, ...]]
    instances: dict[str, tuple[str, str]]
    flights: set[Flight] = field(default_factory=set)


class Oracle:
    """Collects everything that goes wrong in any reachable state of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.found: set[str] = set()
        self.states = 0
        self.origin = State(dict(plan.start), dict(plan.start_instances))
        self._judged: dict[tuple[object, ...], str] = {}

    def run(self) -> set[str]:
        """Everything that is wrong, in words that begin with the invariant."""
        plan = self.plan
        state = State(dict(plan.start), dict(plan.start_instances))
        wave = -1
        for milestone in plan.milestones:
            if milestone.wave != wave:
                wave, self.origin = milestone.wave, state
            state = self._milestone(state, milestone, plan.operations_of(milestone.index), forward=True)
        return self.found

    # ---- states of one milestone --------------------------------------------------------------

    def _milestone(self, start: State, milestone: Milestone, operations: Sequence[Operation], forward: bool) -> State:
        """Every state between two milestones; the last one is given back."""
        known = {o.id for o in operations}
        states: dict[Done, State] = {frozenset(): start}
        pending: list[Done] = [frozenset()]
        while pending:
            pending.sort(key=len)
            done = pending.pop(0)
            state = states[done]
            self._observe(state)
            if forward:
                self._back_from(milestone, state)
            for after, following in self._next(state, done, milestone, operations, known):
                if after not in states:
                    states[after] = following
                    pending.append(after)
                else:
                    states[after].flights |= following.flights
        last = max(states, key=len)
        assert {o.id for o in operations} <= last, "operations wait for each other"
        return states[last]

    def _next(
        self, state: State, done: Done, milestone: Milestone, operations: Sequence[Operation], known: set[str]
    ) -> Iterator[tuple[Done, State]]:
        for operation in operations:
            name = operation.id
            if name in done or not all(a in done for a in operation.after if a in known):
                continue
            if operation.kind == "drain":
                begun = f"begun:{name}"
                if begun not in done:
                    older = {_older(f, name) for f in state.flights}
                    yield done | {begun}, State(state.serving, state.instances, older)
                else:
                    left = {_forget(f, name) for f in state.flights if not _ended(f, operation)}
                    yield done | {name}, State(state.serving, state.instances, left)
                continue
            yield done | {name}, self._apply(state, operation, milestone)

    def _apply(self, state: State, operation: Operation, milestone: Milestone) -> State:
        serving, instances = dict(state.serving), dict(state.instances)
        if operation.kind in ("shift", "flag") and operation.line in milestone.serving:
            serving[operation.line] = milestone.serving[operation.line]
        elif operation.kind == "provision":
            assert operation.instance
            assert operation.release
            assert operation.component
            instances[operation.instance] = (operation.release, operation.component)
        elif operation.kind == "retire":
            instances.pop(operation.instance or "", None)
        return State(serving, instances, set(state.flights))

    def _back_from(self, milestone: Milestone, state: State) -> None:
        way = self.plan.rollback_of(milestone.index)
        if way is None:
            if not milestone.point_of_no_return:
                self.found.add(f"reversible: no rollback from {milestone.title}")
            return
        back = State(dict(state.serving), dict(state.instances), set(state.flights))
        for step in way.milestones:
            back = self._milestone(back, step, way.operations_of(step.index), forward=False)
        if self._shown(back) != self._shown(self.origin):
            self.found.add(f"reversible: the rollback from {milestone.title} does not lead to where its wave began")

    def _shown(self, state: State) -> tuple[object, ...]:
        """What serves and what runs, whoever it was made for."""
        serving = {track: [(s.audience, s.percent, s.release) for s in ss] for track, ss in state.serving.items() if ss}
        return serving, {folder: self._runs(content) for folder, content in state.instances.items()}

    # ---- what can be seen in a state ------------------------------------------------------------

    def _observe(self, state: State) -> None:
        self.states += 1
        for track, shares in state.serving.items():
            state.flights |= {Flight(track, share.release) for share in shares}
        pending = list(state.flights)
        while pending:
            flight = pending.pop()
            self._exists(flight, state)
            for moved in self._moves(flight, state):
                if moved not in state.flights:
                    state.flights.add(moved)
                    pending.append(moved)
        for flight in state.flights:
            self._consistent(flight)
        self._capacity(state)
        self._residency(state.serving)
        self._declared(state.serving)

    def _moves(self, flight: Flight, state: State) -> Iterator[Flight]:
        release = self.plan.releases[flight.release]
        passed = {slot for slot, _ in flight.reached}
        for slot, version in release.slots.items():
            folder = instance_path(release.pipeline, slot, version)
            if not version.in_place or slot in passed or folder not in state.instances:
                continue
            if all(up in passed for up in _once_above(release.slots, slot)):
                reached = flight.reached | {(slot, state.instances[folder])}
                yield Flight(flight.line, flight.release, reached, flight.older_than)

    def _exists(self, flight: Flight, state: State) -> None:
        release = self.plan.releases[flight.release]
        passed = {slot for slot, _ in flight.reached}
        for slot, version in release.slots.items():
            held = state.instances.get(instance_path(release.pipeline, slot, version))
            if slot not in passed and held is None:
                self.found.add(f"consistency: {flight.release} finds no {slot}")
            elif held and not version.in_place and self._runs(held) != version.instance_id:
                self.found.add(f"consistency: {flight.release} finds another {slot}")

    def _runs(self, content: tuple[str, str]) -> str:
        return self.plan.releases[content[0]].slots[content[1]].instance_id

    def _consistent(self, flight: Flight) -> None:
        key = (flight.line, flight.release, flight.reached)
        if key not in self._judged:
            self._judged[key] = self._clash(flight)
        if self._judged[key]:
            self.found.add(self._judged[key])

    def _clash(self, flight: Flight) -> str:
        reached = dict(flight.reached)
        slots = self.plan.releases[flight.release].slots
        contents: dict[str, SlotVersion] = {}
        for name, version in slots.items():
            if name in reached:
                owner, slot = reached[name]
                held = self.plan.releases[owner].slots[slot]
                # What runs is the same: how it is wired is the request's own business.
                contents[name] = version if held.instance_id == version.instance_id else held
            elif not version.in_place:
                contents[name] = version
        for name, version in contents.items():
            for contract, wanted in version.requires.items():
                if "~" not in contract:
                    if _unmet(contract, wanted, slots, contents):
                        return f"consistency: {name} {version.reference} requires {contract}, and nothing provides it"
                    continue
                provider = contract.split("~")[1]
                if provider in slots and provider not in contents:
                    continue
                found = contents[provider].provides.get(contract) if provider in contents else None
                if found is None or not satisfies(found, wanted.value):
                    return f"consistency: {name} {version.reference} is served with {provider} of {contract} {found}"
            for up in slots[name].upstream:
                if up not in contents or not self._undeclared(flight.line, up, name):
                    continue
                if not self._one_generation(flight.line, up, contents[up], name, version):
                    return f"consistency: {up} {contents[up].reference} beside {name} {version.reference} undeclared"
        return self._wiring(flight.line, slots, contents)

    def _wiring(self, track: str, slots: dict[str, SlotVersion], contents: dict[str, SlotVersion]) -> str:
        """A slot that only one side has changes its neighbours: with or without it, they are of that generation."""
        sides = self._sides(track)
        for flow in sides:
            for down in flow:
                for up in flow[down].upstream:
                    if (up in slots) == (down in slots) or not contents.keys() & {up, down}:
                        continue
                    if not any(_alike(side, contents, up) and _alike(side, contents, down) for side in sides):
                        return f"consistency: one of {up} and {down} is not there"
        return ""

    def _sides(self, track: str) -> list[dict[str, SlotVersion]]:
        plan = self.plan
        ids = [plan.from_release.get(track), plan.to_release.get(track)]
        carried = [[reroute.from_release, reroute.to_release] for reroute in plan.reroutes if reroute.line == track]
        if carried:  # another track takes its requests over
            ids = list(carried[0])
        elif track not in plan.to_release:
            heir = f"{track.rpartition('/')[0]}/default".lstrip("/")
            ids = [share.release for share in plan.start.get(track, ())] + [plan.to_release.get(heir)]
        return [plan.releases[name].slots for name in ids if name]

    def _undeclared(self, track: str, up: str, down: str) -> bool:
        for side in self._sides(track):
            for here, there in ((up, down), (down, up)):
                if here in side and there in side[here].independent_of:
                    return False
                if here in side and any(c.split("~")[1:2] == [there] for c in side[here].requires):
                    return False
                if here in side and there in side and side[here].requires.keys() & side[there].provides.keys():
                    return False
        return True

    def _one_generation(self, track: str, up: str, a: SlotVersion, down: str, b: SlotVersion) -> bool:
        for side in self._sides(track):
            if up in side and down in side and (side[up].identity, side[down].identity) == (a.identity, b.identity):
                return True
        return False

    def _declared(self, serving: Serving) -> None:
        """Every release that serves has the slots and the upstreams of one of the two ends of its line."""
        for track, shares in serving.items():
            ends = [self._shape(side) for side in self._sides(track)]
            if any(self._shape(self.plan.releases[share.release].slots) not in ends for share in shares):
                self.found.add(f"wiring: {track} is served as neither end of it is wired")

    def _shape(self, slots: dict[str, SlotVersion]) -> list[tuple[str, list[str]]]:
        return sorted((name, sorted(version.upstream)) for name, version in slots.items())

    def _residency(self, serving: Serving) -> None:
        """Every kind of request, routed as the data plane routes it, is served where the rule of its track allows."""
        for track, release in self._reached(serving):
            allowed, everywhere = set(self.plan.lines[track].allowed_regions), tuple(self.plan.settings.regions)
            for slot, version in self.plan.releases[release].slots.items():
                known = (track, slot, version.instance_id) in self._live
                if allowed and set(version.regions or everywhere) - allowed and not known:
                    self.found.add(f"residency: requests of {track} reach {slot} in {version.regions or everywhere}")

    @cached_property
    def _live(self) -> set[tuple[str, str, str]]:
        """What requests of a track reach already: the plan does not bring it."""
        reached = [(track, self.plan.releases[release]) for track, release in self._reached(self.plan.start)]
        return {(track, slot, v.instance_id) for track, release in reached for slot, v in release.slots.items()}

    def _reached(self, serving: Serving) -> Iterator[tuple[str, str]]:
        """(the track whose rules hold for a request, a release that it may reach)."""
        plan = self.plan
        for pipeline in sorted({track.pipeline for track in plan.lines.values()}):
            own = sorted((n for n in plan.lines.values() if n.pipeline == pipeline), key=lambda n: n.turn)
            router = Router(pipeline, plan.lines, serving, plan.audiences)
            for attributes in _REQUESTS:
                routed = router.route("anyone", attributes)
                rules = next(n.id for n in own if n.route is None or matches(parse(n.route), attributes))
                for share in serving[routed.line] if routed else ():
                    yield rules, share.release

    def _capacity(self, state: State) -> None:
        settings = self.plan.settings
        running = [self.plan.releases[owner].slots[slot] for owner, slot in state.instances.values()]
        places = {"": (settings.capacity, running)}
        for name, region in settings.regions.items():
            places[name] = (region.capacity, [v for v in running if not v.regions or name in v.regions])
        for name, (limits, versions) in places.items():
            for resource, limit in limits.items():
                used = sum(v.needs.get(resource, 0.0) * v.replicas for v in versions)
                if used > limit + 1e-9:
                    self.found.add(f"capacity: {used:g} {resource} in {name or 'all'}, there is {limit:g}")


# One request of every kind that the drawn routes distinguish.
_REQUESTS = [
    {"regulatory_domain": domain, "request_family": family}
    for domain in ("medical", "none")
    for family in ("experiments", "none")
]


def _once_above(slots: dict[str, SlotVersion], slot: str) -> set[str]:
    """Slots that exist once and that every request passes before this one."""
    found: set[str] = set()
    pending, seen = list(slots[slot].upstream), set[str]()
    while pending:
        up = pending.pop()
        if up in seen or up not in slots:
            continue
        seen.add(up)
        if slots[up].in_place:
            found.add(up)
        pending.extend(slots[up].upstream)
    return found


def _alike(side: dict[str, SlotVersion], contents: dict[str, SlotVersion], slot: str) -> bool:
    if slot not in side or slot not in contents:
        return (slot in side) == (slot in contents)
    return side[slot].identity == contents[slot].identity


def _unmet(contract: str, wanted: Requirement, slots: dict[str, SlotVersion], contents: dict[str, SlotVersion]) -> bool:
    """Whether nothing that a request has reached provides what is wanted, though it has passed all that could."""
    if contract == "session-state" or slots.keys() - contents.keys():
        return False
    offers = [one.provides[contract] for slot, one in contents.items()
              if contract in one.provides and wanted.of in (None, slot)]  # fmt: skip
    return not any(satisfies(offer, wanted.value) for offer in offers)


def _older(flight: Flight, drain: str) -> Flight:
    return Flight(flight.line, flight.release, flight.reached, flight.older_than | {drain})


def _ended(flight: Flight, drain: Operation) -> bool:
    return drain.id in flight.older_than and flight.release in drain.drained


def _forget(flight: Flight, drain: str) -> Flight:
    return Flight(flight.line, flight.release, flight.reached, flight.older_than - {drain})
