"""A new split reaches each replica after a delay of its own, and serves people then: no sooner, no later."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.declaration.models import Environment, Propagation
from rollcast.planner.plan.models import Plan
from rollcast.simulator.base.draws import Purpose, name_number, uniform
from rollcast.simulator.forecast.runs import rates_of
from rollcast.simulator.forecast.simulate import stage_of
from rollcast.simulator.replay.propagation import Following
from rollcast.simulator.replay.replay import Replay, replay
from rollcast.simulator.replay.routing import RoutingTable
from rollcast.simulator.traffic.recording import Traffic

SEEDS = st.integers(0, 2**53)


def tables(rows: int) -> tuple[RoutingTable, RoutingTable]:
    """Everybody on path 0 before, on path 1 after, in places of their own."""
    zeros, ones = np.zeros(rows, np.int64), np.ones(rows, np.int64)
    return RoutingTable(zeros, zeros, (("l", "before"),)), RoutingTable(ones, zeros, (("l", "after"),))


@given(SEEDS, st.floats(0.01, 100), st.floats(1, 20), st.integers(1, 50), st.lists(st.floats(0, 500), max_size=60))
def test_a_request_reaches_the_new_split_just_when_its_replica_does(
    seed: int, p50: float, times: float, replicas: int, arrivals: list[float]
) -> None:
    before, after = tables(len(arrivals))
    found = Following(Propagation(p50=p50, p99=p50 * times, replicas=replicas), seed, 3, 100.0, before)
    assert found.last_s == 100.0 + max(found.delays_s)
    requests = np.arange(len(arrivals))
    path, place, places = found.routed(after, requests, requests, np.array(arrivals, np.float64))
    for request, arrival in enumerate(arrivals):
        replica = int(uniform(seed, request, name_number("replica"), Purpose.PROPAGATION) * replicas)
        new = arrival >= 100.0 + found.delays_s[replica]
        assert (path[request], places[place[request]]) == (int(new), ("l", "after" if new else "before"))


@pytest.mark.parametrize(("p50", "p99"), [(0.5, 2.0), (1.0, 1.0), (2.0, 60.0)])
def test_delays_have_the_declared_quantiles(p50: float, p99: float) -> None:
    before, _ = tables(1)
    declared = Propagation(p50=p50, p99=p99, replicas=10_000)
    drawn = np.concatenate([Following(declared, seed, 0, 0.0, before).delays_s for seed in range(10)])
    assert np.mean(drawn <= p50 * 1.000001) == pytest.approx(0.5 if p99 > p50 else 1.0, abs=0.01)
    assert np.mean(drawn <= p99 * 1.000001) == pytest.approx(0.99 if p99 > p50 else 1.0, abs=0.002)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="'p99' is shorter than 'p50'"):
        Propagation(p50=2.0, p99=1.0)
    with pytest.raises(ValueError, match="greater than 0"):
        Propagation(p50=0.0, p99=1.0)
    assert "propagation" not in Environment().model_dump(), "plans without it are what they were"


def replayed(plan: Plan, traffic: Traffic, propagation: Propagation | None) -> Replay:
    settings = plan.settings.model_copy(update={"propagation": propagation})
    stage, _ = stage_of(plan.model_copy(update={"settings": settings}), traffic)
    return replay(stage.inputs, stage.maker.make(1, True), 1, rates_of(stage, 1), beyond=False)


def test_a_stage_begins_when_the_last_replica_follows_and_stragglers_serve_the_old_until_then(
    good_plan: Plan, azure_hour: Traffic
) -> None:
    at_once = replayed(good_plan, azure_hour, None)
    late = replayed(good_plan, azure_hour, Propagation(p50=20.0, p99=100.0, replicas=4))
    stage = next(i for i, each in enumerate(at_once.stages) if each.arms is not None)
    before, entered_s = at_once.stages[stage].entered_s, late.stages[stage].entered_s
    delays_s = Following(Propagation(p50=20.0, p99=100.0, replicas=4), 1, 0, 0.0, tables(1)[0]).delays_s
    assert entered_s == pytest.approx(before + max(delays_s))
    columns = late.request_log.columns
    first, middle = late.stages[stage].first, at_once.stages[stage].first
    assert first > middle, "requests arrive while the split is on its way"
    assert len(np.unique(columns.path[middle:first])) > 1, "some of them reach the new release before the stage begins"
    soonest = columns.arrival_s[middle:first] < before + min(delays_s)
    assert len(np.unique(columns.path[middle:first][soonest])) == 1, "nobody does before the first replica follows"
