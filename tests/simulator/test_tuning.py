"""Percentages and bakes by search: what is tried, that the best of it is found, and that little work is wasted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import Bake, RolloutSettings, Stage
from rollcast.simulator.forecast.intervals import share_interval
from rollcast.simulator.forecast.models import (
    Detection,
    Duration,
    Exposure,
    Forecast,
    OutcomeForecast,
    OutcomeIntervals,
    TimeToEnd,
)
from rollcast.simulator.tuning.search import LAST, TuningGoal, rank, search
from rollcast.simulator.tuning.ways import STEPS, Way, ladders, rounded_s

GOAL = TuningGoal(within_s=3600.0, sure=0.9)


def made(promoted: float, lasts_s: float, caught: float, users: float, runs: int) -> Forecast:
    """A forecast of that many runs in which these shares came out as exactly as so few can."""
    through, found = round(promoted * runs), round(caught * runs)
    known = share_interval(through, runs)
    harm = Detection(
        metric="violation_rate", regression=0.1, component="safety", replays=runs, users_harmed=users, seconds=None,
        probability=found / runs, probability_interval=share_interval(found, runs), requests_exposed=None,
    )  # fmt: skip
    lasts = Duration(p50=lasts_s, p95=lasts_s)
    return Forecast(
        plan_digest="sha256:0", seed=0, runs=runs, engine="compiled", requests=1, metrics=(), detection=(harm,),
        outcome=OutcomeForecast(promoted=through / runs, rolled_back=1 - through / runs, held=0.0), duration_s=lasts,
        outcome_interval=OutcomeIntervals(promoted=known, rolled_back=(0.0, 1.0), held=(0.0, 1.0)),
        exposure=Exposure(requests=0, users=0), ends_after_s=TimeToEnd(promoted=lasts if through else None),
    )  # fmt: skip


def test_every_ladder_climbs_to_everyone_by_steps_that_people_write() -> None:
    found = list(ladders())
    assert len(set(found)) == len(found)
    for steps in found:
        assert list(steps) == sorted(set(steps))
        assert set(steps) <= set(STEPS)
        assert steps[-1] == 100.0
        assert len(steps) > 1, "everyone at once is no canary"


@given(st.floats(0.001, 1e7))
def test_a_time_is_rounded_to_what_a_person_would_declare_and_never_up(seconds: float) -> None:
    found = rounded_s(seconds)
    assert 0 < found <= seconds
    assert found > seconds - max(1.0, 0.2 * seconds)
    assert rounded_s(found) == found


@given(
    least=st.floats(1.0, 3600.0), longer=st.floats(0.1, 20.0), slack=st.floats(0.0, 1e5), stages=st.booleans()
)  # fmt: skip
def test_a_way_changes_percentages_and_bakes_and_leaves_audiences_and_gates(
    least: float, longer: float, slack: float, stages: bool
) -> None:
    audiences = (
        Stage(audience="internal", percent=(100.0,), bake=Bake(min=least / 2, max=9e4)),
        Stage(audience="everyone", percent=(5.0, 100.0)),
    )
    own = RolloutSettings(bake=Bake(min=least, max=9e4, then="rollback"), stages=audiences if stages else ())
    found = Way((10.0, 100.0), longer, slack).of(own)
    assert (found.gates, found.min_sample, found.bake.then) == (own.gates, own.min_sample, "rollback")
    assert found.bake.min <= found.bake.max
    assert (found.stages[-1].percent if stages else found.percent) == (10.0, 100.0)
    if stages:
        assert found.stages[0].audience == "internal"
        assert found.stages[0].percent == (100.0,)
        assert found.stages[0].bake is not None
        assert found.stages[0].bake.min <= found.bake.min, "each as much longer as the others"


ways = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.5, 1.0)), st.floats(60.0, 7200.0), st.sampled_from((0.0, 0.5, 1.0)), st.floats(1.0, 1e4)
    ),
    min_size=1, max_size=40, unique=True,
)  # fmt: skip


@given(ways)
def test_the_best_way_is_found_where_luck_plays_no_part(tried: list[tuple[float, float, float, float]]) -> None:
    """And no harm is replayed in a way that can't go through in time, but in the last round."""
    replayed = []

    def calm(way: tuple[float, float, float, float], runs: int, seed: int) -> Forecast:
        return made(*way, runs).model_copy(update={"detection": ()})

    def harmed(way: tuple[float, float, float, float], runs: int, seed: int) -> tuple[Detection, ...]:
        replayed.append((way, seed))
        return made(*way, runs).detection

    found = search(tried, calm, harmed, GOAL, 20, 7, lambda ways, runs: None)
    good = [way for way in tried if not GOAL.lacks(made(*way, 20))]
    if good:
        best = min(rank(made(*way, 20), GOAL) for way in good)
        assert rank(found[0].forecast, GOAL) == best
    assert len(found) == min(len(tried), LAST)
    assert all(way[0] > 0 and way[1] <= GOAL.within_s for way, seed in replayed if seed == 7)


def test_what_a_way_lacks_is_named_and_few_replays_leave_it_a_chance() -> None:
    poor = made(promoted=0.5, lasts_s=7200.0, caught=0.5, users=9.0, runs=20)
    lacks = GOAL.lacks(poor)
    assert lacks == {
        "goes through": pytest.approx(0.4), "in time": pytest.approx(1.0),
        "violation_rate+0.1@safety": pytest.approx(0.4),
    }  # fmt: skip
    few = made(promoted=0.5, lasts_s=3600.0, caught=0.5, users=9.0, runs=2)
    assert GOAL.lacks(few)
    assert not GOAL.lacks(few, at_best=True), "of two replays one may be bad luck"
