"""How many users a change of routes moves: counted on the traffic, and as the two routers route it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.releases import tracks_of
from rollcast.planner.routing.split import Router
from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.traffic.recording import Traffic
from tests.planner.test_rerouted import REQUESTS, ROUTES, Channels, declared

routes = st.sampled_from(ROUTES)
few = st.lists(st.tuples(st.sampled_from("abc"), st.tuples(routes, st.just("2"))), unique_by=lambda one: one[0]).map(
    dict
)


def _traffic(azure_hour: Traffic) -> Traffic:
    """Some requests of every kind, by users of their own."""
    few = azure_hour.between(0.0, 60.0)
    kinds = np.arange(len(few)) % len(REQUESTS)
    return replace(few, classes=tuple(REQUESTS), attributes=kinds.astype(np.int64))


@settings(max_examples=15)  # each compiles its plan's network again
@given(few, few)
def test_a_forecast_counts_those_who_go_another_way(azure_hour: Traffic, before: Channels, after: Channels) -> None:
    traffic = _traffic(azure_hour)
    first, then = declared("1", before), declared("3", after)
    plan = make_plan(then, live_as_declared(first))
    forecast = simulate(plan, traffic, detect=0)
    ends = {track: live_as_declared(then).serving[track] for track in tracks_of(then)}
    old, new = Router("p", tracks_of(first), plan.start, {}), Router("p", tracks_of(then), ends, {})
    moved: dict[tuple[str, str], int] = {}
    for row in range(len(traffic)):
        attributes, key = traffic.classes[traffic.attributes[row]], traffic.keys[traffic.key[row]]
        one, two = old.route(key, attributes), new.route(key, attributes)
        assert one is not None
        assert two is not None
        if one.line != two.line:
            moved[one.line, two.line] = moved.get((one.line, two.line), 0) + 1
    assert {(m.source, m.target): m.requests for m in forecast.moved if m.requests} == moved
    assert all(m.users <= m.requests and 0 <= m.share <= 1 for m in forecast.moved)
