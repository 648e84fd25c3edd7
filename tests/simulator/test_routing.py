"""The split of a whole trace is the live split of each of its requests."""

from __future__ import annotations

from rollcast.planner.plan.models import Plan
from rollcast.planner.routing.split import Router
from rollcast.simulator.replay.routing import Routing
from rollcast.simulator.stations.network import network_of
from rollcast.simulator.traffic.recording import Traffic


def test_every_row_goes_where_the_flag_sends_it(good_plan: Plan, azure_hour: Traffic) -> None:
    network = network_of(good_plan)
    routing = Routing(good_plan, network, azure_hour)
    for serving in [good_plan.start, *good_plan.servings()]:
        table = routing.table(serving)
        router = Router(good_plan.pipeline, good_plan.lines, serving, good_plan.audiences)
        for row in range(0, len(azure_hour), 97):
            key, attributes = azure_hour.keys[azure_hour.key[row]], azure_hour.classes[azure_hour.attributes[row]]
            routed = router.route(key, attributes)
            assert routed is not None
            assert network.paths[table.path[row]].release == routed.release
            assert table.places[table.place[row]] == (routed.line, routed.audience)
