"""`profile: {station: dice, side_s: 0.01}`: a request takes one to six sides, by its own luck."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import simpy

from rollcast.simulator.base.draws import Purpose
from rollcast.simulator.engines.reference.station import ProcessStation, Visit
from rollcast.simulator.stations.profiles import Profile


class DiceProfile(Profile):
    """How long one side of the dice takes."""

    station: Literal["dice"] = "dice"
    side_s: float = 0.01


class Dice(ProcessStation):
    """One throw a request."""

    settings_model = DiceProfile

    def serve(self, visit: Visit) -> Generator[simpy.Event, Any, None]:
        assert isinstance(self.spec.profile, DiceProfile)
        thrown = 1 + int(6 * self.uniform(visit, Purpose.SERVICE))
        yield self.clock.timeout(self.spec.profile.side_s * thrown)
