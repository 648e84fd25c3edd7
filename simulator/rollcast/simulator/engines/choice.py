"""Which engine serves a network, and how one is made for a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, assert_never

from rollcast.simulator.base.compiling import kept
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.engines.interface import Disturbances, Engine
from rollcast.simulator.stations.kinds import is_registered
from rollcast.simulator.stations.network import Network
from rollcast.simulator.stations.profiles import COMPILED
from rollcast.simulator.traffic.recording import Traffic

Name = Literal["simpy", "compiled"]


def choose(name: str, network: Network) -> tuple[Name, str]:
    """The engine to use, and why where that needs saying. Raises SimulatorError."""
    if name not in ("auto", "simpy", "compiled"):
        raise SimulatorError(f"There is no engine '{name}'. Choose auto, simpy or compiled.")
    hindrance = _hindrance(network)
    if name == "compiled" and hindrance:
        raise SimulatorError(f"The compiled engine can't serve this: {hindrance}. Use --engine simpy.")
    if name == "simpy":
        return "simpy", ""
    return ("simpy", f"simpy serves, as {hindrance}") if hindrance else ("compiled", "")


def _hindrance(network: Network) -> str:
    own = sorted({spec.profile.station for spec in network.stations if type(spec.profile) not in COMPILED})
    if own:
        whose = "of your own" if all(map(is_registered, own)) else "that a package brought"
        return f"{', '.join(own)} is a station {whose}"
    if not network.feed_forward:
        return "requests of different releases pass the same stations in different orders"
    return ""


def must_compile(name: Name) -> bool:
    """Whether the first run will compile first (a minute or so, once for each version of rollcast)."""
    return name == "compiled" and not kept()


@dataclass(frozen=True)
class EngineFactory:
    """Makes engines for runs: the same for every process."""

    network: Network
    traffic: Traffic
    name: Name
    world: Disturbances  # what happens with and without the rollout
    injected: Disturbances  # what happens in the rollout alone

    def make(self, seed: int, rollout: bool) -> Engine:
        """An engine at time 0."""
        faults = self.world
        if rollout and self.injected.slow:
            faults = replace(faults, slow=(*faults.slow, *self.injected.slow))
        match self.name:
            case "compiled":
                from rollcast.simulator.engines.compiled.engine import Compiled

                return Compiled(self.network, self.traffic, seed, faults)
            case "simpy":
                from rollcast.simulator.engines.reference.world import Simulation

                return Simulation(self.network, self.traffic, seed, faults)
            case _:
                assert_never(self.name)
