"""The review: everything that a rule may judge by. Typed, frozen, and nothing in it is read from the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from rollcast.planner.base.sources import Path
from rollcast.planner.declaration.models import Declaration, Environment
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.releases.releases import Release, SlotVersion
from rollcast.policies.errors import NotJudged
from rollcast.policies.rules import paths
from rollcast.policies.rules.places import Place, Places
from rollcast.policies.rules.states import State, States
from rollcast.simulator.forecast.models import Forecast


@dataclass(frozen=True, slots=True)
class SlotChange:
    """One slot of one line that the plan changes. `before` is None where it is new."""

    line: str
    slot: str
    before: SlotVersion | None
    after: SlotVersion


@dataclass(frozen=True)
class Review:
    """What is declared, what is live, the plan between them, every state it may reach, and the forecast of it.

    `today` is given by whoever asks, so that a verdict can be repeated. `digests` are those of the lock file; None
    where nothing is locked. `visited` narrows the review to states that a walk has reached.
    """

    declaration: Declaration
    live: LiveState
    plan: Plan
    today: date
    forecast: Forecast | None = None
    digests: Mapping[str, str] | None = None
    places: Places | None = None
    visited: tuple[State, ...] | None = None

    @property
    def environment(self) -> Environment:
        """The environment that the plan is for."""
        return self.plan.settings

    @property
    def states(self) -> Iterable[State]:
        """Every state that the plan may rest in, forwards and back; in a walk, the state that it has reached."""
        return self.visited if self.visited is not None else States(self.plan)

    @property
    def forecast_or_not_judged(self) -> Forecast:
        """The forecast of this plan, for a rule that needs one. Raises NotJudged where there is none.

        A rule that is not judged neither passes nor fails. A forecast of another plan is none.
        """
        if self.forecast is None:
            raise NotJudged("no forecast; simulate the plan with traffic")
        if self.forecast.plan_digest != self.plan.digest:
            raise NotJudged("the forecast is of another plan; simulate this one")
        return self.forecast

    @cached_property
    def changes(self) -> tuple[SlotChange, ...]:
        """Every slot that the plan creates or changes, in the order of the declaration."""
        found = []
        for track, target in self.plan.to_release.items():
            source = self.plan.from_release.get(track)
            before = self.plan.releases[source].slots if source else {}
            for slot, version in self.plan.releases[target].slots.items():
                if slot not in before or before[slot].identity != version.identity:
                    found.append(SlotChange(track, slot, before.get(slot), version))
        return tuple(found)

    def declared(self) -> Iterator[tuple[str, Release]]:
        """(track, declared release) of every track."""
        for track, release in self.plan.to_release.items():
            yield track, self.plan.releases[release]

    # ---- where things stand in the declaration --------------------------------------------------

    def component_path(self, track: str, slot: str) -> Path:
        """What fills a slot of a line."""
        return paths.component(self.declaration, track, slot)

    def artifact_path(self, reference: str) -> Path:
        """The artifact that a reference names."""
        return paths.artifact(self.declaration, reference)

    def rollout_path(self, track: str, *more: str | int) -> Path:
        """The rollout rules of a track, or a key in them."""
        return (*paths.rollout(self.declaration, track), *more)

    def channel_path(self, track: str) -> Path:
        """The channel of a line."""
        return paths.channel(self.declaration, track)

    def place(self, path: Path) -> Place | None:
        """File, line and column of a path; None where the declaration was not read from a file."""
        return self.places.at(path) if self.places else None
