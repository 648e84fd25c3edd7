"""What every station is, and how a user adds one.

A station is a class with `arrive`; it calls `finish` or `fail` once for each visit. To add one, subclass `Station` (or
`ProcessStation`, whose `serve` is a simpy process), describe its profile, and register both:

    @station("lottery", LotteryProfile)
    class Lottery(ProcessStation):
        def serve(self, visit):
            yield self.clock.timeout(self.draw(visit, 0.1))

A distribution registers nothing: it names the class as an entry point in `rollcast.stations`, and the class its profile
as `settings_model`. Caches, retries, timeouts, fallbacks, draws and bookkeeping are the base class's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import simpy

from rollcast.simulator.base.draws import Purpose, uniform
from rollcast.simulator.engines.reference.caches import ResultCache
from rollcast.simulator.engines.reference.clock import Kind, SimulatedClock
from rollcast.simulator.stations import kinds
from rollcast.simulator.stations.network import StationSpec
from rollcast.simulator.stations.profiles import Profile
from rollcast.simulator.traffic.recording import Traffic

ATTEMPT = 64  # attempts of one visit draw with purposes this far apart


@dataclass(eq=False)
class Visit:
    """One request at one step of its path."""

    request: int
    row: int
    step: int
    input_tokens: int
    output_tokens: int
    query: int
    arrived_s: float
    attempt: int = 1
    start_s: float = float("nan")
    end_s: float = float("nan")
    first_token_s: float = float("nan")
    due_s: float = float("inf")
    uses: int = 0


class Surroundings(Protocol):
    """What a station asks of the simulation that it stands in. Times in seconds of simulated time."""

    clock: SimulatedClock
    traffic: Traffic
    seed: int

    def leave(self, station: Station, visit: Visit, served: bool) -> None:
        """A visit is over: the request goes on, falls back, or fails."""

    def blocks(self, visit: Visit) -> list[int]:
        """The whole prefix blocks of a request's prompt."""

    def slowed(self, station: Station, at_s: float, took_s: float) -> float:
        """A time at a station, with the slowness of that moment."""

    def disturbed(self, station: Station, visit: Visit, took_s: float) -> float:
        """A service time of a visit, with the slowness of the moment when it starts."""

    def breaks(self, station: Station, visit: Visit) -> bool:
        """Whether a fault makes this attempt fail."""


class Station:
    """One instance. Subclasses decide who is served when."""

    settings_model: ClassVar[type[Profile]]  # of its profile

    def __init__(self, world: Surroundings, spec: StationSpec, number: int) -> None:
        self.world, self.clock, self.spec, self.number = world, world.clock, spec, number
        self.cache = ResultCache(spec.profile.cache) if spec.profile.cache else None
        self.visits = 0
        self.retries = 0
        self.busy_s = 0.0
        self.longest_queue = 0
        self.behind_since_s = float("nan")
        self.open()

    @property
    def now_s(self) -> float:
        return self.clock.now

    @property
    def servers(self) -> int:
        """How many requests can be served at once."""
        return self.spec.replicas

    # ---- what a subclass says ------------------------------------------------------------------

    def open(self) -> None:
        """Makes the station's own state."""

    def arrive(self, visit: Visit) -> None:
        """A request comes, and nothing that is kept answers it."""
        raise NotImplementedError

    def change_capacity(self, replicas_down: int) -> None:
        """From now on, the first `replicas_down` replicas do not serve."""

    # ---- what the base class does --------------------------------------------------------------

    def enter(self, visit: Visit) -> None:
        """A visit begins, or begins again: what is kept answers at once."""
        if visit.attempt == 1:
            self.visits += 1
        if self.cache is not None and self.cache.hit(visit.query, self.now_s):
            visit.start_s = self.now_s
            end_s = self.now_s + self.cache.cache.hit_s
            self.clock.at(end_s, self.number, Kind.END, visit.request, lambda: self.world.leave(self, visit, True))
            return
        visit.due_s = self.now_s + self.spec.timeout_s if self.spec.timeout_s is not None else float("inf")
        self.arrive(visit)

    def finish(self, visit: Visit) -> None:
        """The visit was served."""
        if self.cache is not None:
            self.cache.keep(visit.query, self.now_s)
        self.world.leave(self, visit, True)

    def fail(self, visit: Visit) -> None:
        """The attempt failed or was late: try again while attempts and budget last."""
        visit.first_token_s = float("nan")
        rule = self.spec.profile.retries
        if rule is not None and visit.attempt < rule.attempts and self.retries + 1 <= rule.budget * self.visits:
            self.retries += 1
            again_s = self.now_s + rule.backoff_s * 2.0 ** (visit.attempt - 1)
            visit.attempt += 1
            self.clock.at(again_s, self.number, Kind.ARRIVAL, visit.request, lambda: self.enter(visit))
            return
        self.world.leave(self, visit, False)

    def uniform(self, visit: Visit, purpose: Purpose) -> float:
        """The luck of this request, at this component, for this purpose, in this attempt."""
        shifted = int(purpose) + ATTEMPT * (visit.attempt - 1)
        return uniform(self.world.seed, visit.request, self.spec.number, shifted)

    def note_queue(self, length: int) -> None:
        """Keeps what shows whether the station keeps up: call it when the queue has changed."""
        self.longest_queue = max(self.longest_queue, length)
        if length == 0:
            self.behind_since_s = float("nan")
        elif self.behind_since_s != self.behind_since_s:
            self.behind_since_s = self.now_s


class ProcessStation(Station):
    """A station whose `serve` is a simpy process: the easy way to write one's own."""

    def serve(self, visit: Visit) -> Generator[simpy.Event, Any, None]:
        """Yields simpy events; the visit is served when it returns."""
        raise NotImplementedError

    def arrive(self, visit: Visit) -> None:
        def process() -> Generator[simpy.Event, Any, None]:
            visit.start_s = self.now_s
            visit.uses += 1
            yield from self.serve(visit)
            self.clock.at(self.now_s, self.number, Kind.END, visit.request, lambda: self.finish(visit))

        self.clock.process(process())


def station(kind: str, profile: type[Profile]) -> Callable[[type[Station]], type[Station]]:
    """Registers a station of a user's own under the name that profiles say."""

    def register(cls: type[Station]) -> type[Station]:
        cls.settings_model = profile
        kinds.register(kind, cls)
        return cls

    return register
