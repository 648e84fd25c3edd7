"""A closed set takes nothing else: a value that no branch knows is refused, and is never taken for another one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rollcast.planner.plan.models import Milestone, Operation
from rollcast.simulator.base.errors import SimulatorError, TrafficError
from rollcast.simulator.calibration.profiles import calibrated
from rollcast.simulator.engines.choice import choose
from rollcast.simulator.replay.faults import parse_faults
from rollcast.simulator.stations.distributions import Distribution
from rollcast.simulator.stations.network import Network
from rollcast.simulator.stations.profiles import LlmProfile, StepTime
from rollcast.simulator.traffic.formats import Columns
from rollcast.simulator.traffic.recording import read_traffic

EMPTY = Network((), (), {}, True)
UNKNOWN: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "distribution": (lambda: Distribution(distribution="pareto", mean=1.0), ValidationError, "'empirical'"),  # type: ignore[arg-type]
    "fault": (lambda: parse_faults(["fire@index"], EMPTY), SimulatorError, "loss, slow, errors"),
    "engine": (lambda: choose("ns3", EMPTY), SimulatorError, "auto, simpy or compiled"),
    "fitted station": (
        lambda: calibrated([], "remote", LlmProfile(step=StepTime(base_s=1.0)), None, 1),  # type: ignore[arg-type]
        SimulatorError,
        "auto, llm, pool",
    ),
    "unit": (lambda: Columns(time="t", unit="fortnight"), TrafficError, "s, ms, us, ns, iso"),
    "users": (lambda: read_traffic(Path("x"), users="everybody"), TrafficError, "synthetic or required"),  # type: ignore[arg-type]
    "end of a bake": (
        lambda: Milestone(index=0, title="x", kind="shift", bake_then="wait"),  # type: ignore[arg-type]
        ValidationError,
        "'hold', 'rollback' or 'advance'",
    ),
    "operation": (
        lambda: Operation(id="x", kind="restart", milestone=0),  # type: ignore[arg-type]
        ValidationError,
        "'retire'",
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_in_the_set_is_refused_with_the_set(name: str) -> None:
    made, error, said = UNKNOWN[name]
    with pytest.raises(error, match=said):
        made()
