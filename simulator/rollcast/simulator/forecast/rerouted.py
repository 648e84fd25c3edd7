"""How many of the recorded users a plan sends another way: counted, for the routes and the attributes are known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rollcast.planner.base.audiences import matches, parse
from rollcast.simulator.forecast.models import Moved
from rollcast.simulator.replay.inputs import ReplayInputs


def moved_of(inputs: ReplayInputs) -> Iterator[Moved]:
    """Requests and users of the traffic that another track takes after the plan than before it."""
    traffic, routing = inputs.traffic, inputs.routing
    for reroute in inputs.plan.reroutes:
        rule = parse(reroute.where)
        classes = [i for i, attributes in enumerate(traffic.classes) if matches(rule, attributes)]
        pipeline = routing.pipelines.index(inputs.plan.pipeline_of[reroute.target])
        own_requests = routing.pipeline == pipeline
        own = np.isin(traffic.attributes, classes) & own_requests
        everyone = len(np.unique(traffic.key[own_requests]))
        users = len(np.unique(traffic.key[own]))
        yield Moved(
            source=reroute.source, target=reroute.target, line=reroute.line, moves=reroute.moves,
            from_release=reroute.from_release, to_release=reroute.to_release,
            requests=int(own.sum()), users=users, share=users / everyone if everyone else 0.0,
        )  # fmt: skip


__all__ = ["moved_of"]
