"""The same queue in other simulators: ciw and salabim, beside both engines of rollcast.

M/M/8 at a load of 0.8. Each simulator draws its own random numbers; mean waits must agree within their intervals.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from rollcast.simulator.base.draws import Floats
from rollcast.simulator.calibration.alone import run, serve_alone, single
from rollcast.simulator.engines.reference.world import Simulation
from rollcast.simulator.stations.distributions import Distribution
from rollcast.simulator.stations.profiles import PoolProfile
from validation.queues import batch_means, erlang_c, poisson

SERVERS, LOAD = 8, 0.8
_SERVICE_S = LOAD * SERVERS


def _profile() -> PoolProfile:
    return PoolProfile(concurrency=SERVERS, service_s=Distribution(distribution="exponential", mean=_SERVICE_S))


def compiled(requests: int) -> Floats:
    """Waits of the compiled engine."""
    visits = serve_alone(_profile(), poisson(requests, 31), seed=3).visits
    return visits.start_s[:, 0] - visits.arrive_s[:, 0]


def simpy(requests: int) -> Floats:
    """Waits of the reference engine."""
    traffic = poisson(requests, 31)
    visits = run(Simulation(single(_profile()), traffic, 3), traffic).visits
    return visits.start_s[:, 0] - visits.arrive_s[:, 0]


def ciw(requests: int) -> Floats:
    """Waits of ciw (https://ciw.readthedocs.io)."""
    import ciw as peer

    peer.seed(41)
    network = peer.create_network(
        arrival_distributions=[peer.dists.Exponential(1.0)],
        service_distributions=[peer.dists.Exponential(1 / _SERVICE_S)],
        number_of_servers=[SERVERS],
    )
    simulation = peer.Simulation(network)
    simulation.simulate_until_max_customers(requests)
    records = sorted(simulation.get_all_records(), key=lambda record: record.arrival_date)
    return np.array([record.waiting_time for record in records])


def salabim(requests: int) -> Floats:
    """Waits of salabim (https://www.salabim.org)."""
    import salabim as peer

    peer.yieldless(False)
    environment = peer.Environment(trace=False, random_seed=43)
    servers = peer.Resource("servers", capacity=SERVERS)
    between, service = peer.Exponential(1.0), peer.Exponential(_SERVICE_S)
    waits: list[float] = []

    class Customer(peer.Component):  # type: ignore[misc]
        def process(self):  # type: ignore[no-untyped-def]
            arrived = environment.now()
            yield self.request(servers)
            waits.append(environment.now() - arrived)
            yield self.hold(service.sample())

    class Source(peer.Component):  # type: ignore[misc]
        def process(self):  # type: ignore[no-untyped-def]
            for _ in range(requests):
                yield self.hold(between.sample())
                Customer()

    Source()
    environment.run()
    return np.array(waits)


PEERS: dict[str, Callable[[int], Floats]] = {
    "rollcast, compiled": compiled,
    "rollcast, simpy": simpy,
    "ciw": ciw,
    "salabim": salabim,
}


def compared(requests: int) -> dict[str, tuple[float, float, float]]:
    """Mean wait, half width of its interval, and requests a second, of each simulator."""
    compiled(1000)  # compiles
    found = {}
    for name, peer in PEERS.items():
        count = requests if name != "rollcast, compiled" else requests * 20
        started = time.perf_counter()
        waits = peer(count)
        found[name] = (*batch_means(waits), count / (time.perf_counter() - started))
    return found


def formula() -> float:
    """Erlang's mean wait."""
    return erlang_c(_SERVICE_S, SERVERS) * _SERVICE_S / (SERVERS - _SERVICE_S)


def section(scale: float) -> str:
    """Peers on the same queue, as a section of the validation page."""
    rows = [
        f"| {name} | {mean:.3f} ± {half:.3f} | {'yes' if abs(mean - formula()) <= half else 'NO'} |"
        for name, (mean, half, _) in compared(max(int(60_000 * scale), 8_000)).items()
    ]
    return "\n".join(
        [
            "## The same queue in other simulators",
            "",
            f"M/M/{SERVERS} at a load of {LOAD}: mean wait in seconds, 99 % intervals. Erlang's formula gives",
            f"{formula():.3f} s.",
            "",
            "| simulator | mean wait | covers the formula |",
            "|---|---:|---|",
            *rows,
        ]
    )
