"""Which of many ways is best, by successive halving: few replays of all, more of the better quarter, many of the last.

Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization" (2016). All ways of a
round are replayed with the same luck, so that they differ by what they are. A way that can't go through in time is not
tried on harms, which are most of the work. While replays are few a way counts as what it may still turn out to be, the
upper end of its interval, so that no good one is dropped for bad luck. The last round has luck of its own: a choice
flatters what it was made by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rollcast.simulator.forecast.models import Detection, Forecast

FIRST_RUNS = 4
KEPT = 4  # one of so many goes on, with so many times the replays
LAST = 4  # ways in the last round

Named = TypeVar("Named")
ForecastOf = Callable[[Named, int, int], Forecast]  # a way without harms, from so many runs of a seed
HarmsOf = Callable[[Named, int, int], tuple[Detection, ...]]  # how it catches each harm, from so many replays of it


@dataclass(frozen=True)
class TuningGoal:
    """What a way must do: go through within so many seconds, and catch every harm, each in this share of replays."""

    within_s: float
    sure: float

    def lacks(self, forecast: Forecast, *, at_best: bool = False) -> dict[str, float]:
        """What a forecast falls short of, by how much (shares; of the time, its part beyond); empty if of nothing.

        `at_best`: as good as its few replays leave possible.
        """
        interval = forecast.outcome_interval
        promoted = interval.promoted[1] if at_best and interval else forecast.outcome.promoted
        found = {"goes through": self.sure - promoted}
        ends = forecast.ends_after_s.promoted
        if ends is not None and not math.isnan(ends.p95):
            found["in time"] = ends.p95 / self.within_s - 1.0
        for each in forecast.detection:
            found[f"{each.metric}{each.regression:+g}@{each.component}"] = self.sure - _probability(each, at_best)
        return {name: short for name, short in found.items() if short > 1e-9}


def users_harmed(forecast: Forecast) -> float:
    """Users whom the harm of most of them served, on average over all replays; 0 where none is looked for."""
    return max((each.users_harmed or 0.0 for each in forecast.detection), default=0.0)


def rank(forecast: Forecast, goal: TuningGoal, *, at_best: bool = False) -> tuple[float, float, float]:
    """The smaller, the better: what it lacks, then whom a harm served, then how long it lasts."""
    return sum(goal.lacks(forecast, at_best=at_best).values()), users_harmed(forecast), forecast.duration_s.p50


@dataclass(frozen=True)
class Tried(Generic[Named]):
    """A way of the last round, and its forecast, harms included."""

    way: Named
    forecast: Forecast


def search(
    ways: Sequence[Named],
    forecast_of: ForecastOf[Named],
    harms_of: HarmsOf[Named],
    goal: TuningGoal,
    runs: int,
    seed: int,
    report: Callable[[int, int], None],
) -> list[Tried[Named]]:
    """The last ways, the best first. `report` is called before each round with how many ways get how many runs."""

    def harmed(way: Named, calm: Forecast, runs: int, seed: int) -> Forecast:
        return calm.model_copy(update={"detection": harms_of(way, runs, seed)})

    left, each = list(ways), min(FIRST_RUNS, runs)
    while len(left) > LAST:
        report(len(left), each)
        ranked = []
        for number, way in enumerate(left):
            calm = forecast_of(way, each, seed)
            late = sum(goal.lacks(calm, at_best=True).values())
            found = calm if late else harmed(way, calm, each, seed)
            ranked.append((late, rank(found, goal, at_best=True), number))
        keep = max(LAST, math.ceil(len(left) / KEPT))
        left = [left[number] for _, _, number in sorted(ranked)[:keep]]
        each = min(each * KEPT, runs)
    report(len(left), runs)
    last = [Tried(way, harmed(way, forecast_of(way, runs, seed + 1), runs, seed + 1)) for way in left]
    return sorted(last, key=lambda tried: rank(tried.forecast, goal))


def _probability(found: Detection, at_best: bool) -> float:
    return found.probability_interval[1] if at_best and found.probability_interval else found.probability


__all__ = ["LAST", "Tried", "TuningGoal", "rank", "search", "users_harmed"]
