"""From a plan and recorded traffic to a forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rollcast.planner.plan import Plan
from rollcast.simulator.engine import Engine
from rollcast.simulator.errors import SimulatorError
from rollcast.simulator.forecast import Forecast
from rollcast.simulator.ledger import Scene
from rollcast.simulator.measures import audiences_of, members, specs_of
from rollcast.simulator.network import network_of
from rollcast.simulator.outcomes import Beliefs, drawn_metrics
from rollcast.simulator.profiles import LlmProfile, RemoteProfile
from rollcast.simulator.reference.world import World
from rollcast.simulator.runs import Stage, one_run
from rollcast.simulator.summary import forecast_of
from rollcast.simulator.traffic import Traffic

Progress = Callable[[int, int], None]  # runs finished, runs asked


def simulate(
    plan: Plan,
    traffic: Traffic,
    *,
    runs: int = 1,
    seed: int = 0,
    engine: str = "auto",
    inject: Sequence[str] = (),
    faults: Sequence[str] = (),
    workers: int | None = None,
    progress: Progress | None = None,
) -> Forecast:
    """Replays traffic through a plan `runs` times, each with its own luck and its own draw of what is uncertain.

    Raises SimulatorError (each message says what to do). The same arguments give the same forecast.
    """
    if runs < 1:
        raise SimulatorError(f"{runs} runs say nothing. Ask for at least one with --runs.")
    stage = stage_of(plan, traffic)
    made = []
    for run in range(runs):
        made.append(one_run(stage, seed, run))
        if progress is not None:
            progress(run + 1, runs)
    return forecast_of(stage, made, seed=seed, engine="simpy", asked=runs)


def stage_of(plan: Plan, traffic: Traffic) -> Stage:
    """What every run of a forecast shares."""
    network = network_of(plan)
    gates = [gate for line in plan.lines.values() for gate in line.rollout.gates]
    metrics = drawn_metrics(gates)
    scene = Scene(plan, network, traffic, metrics)
    streams = any(
        isinstance(spec.profile, LlmProfile)
        or (isinstance(spec.profile, RemoteProfile) and spec.profile.first_token_s is not None)
        for spec in network.stations
    )
    audiences = {name: members(scene, name) for name in audiences_of(plan)}

    def make(seed: int, rollout: bool) -> Engine:
        return World(network, traffic, seed)

    return Stage(scene, Beliefs(plan, network, metrics, scene.segments), specs_of(plan, streams), audiences, make)
