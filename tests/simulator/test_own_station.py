"""A user's own station is one class and one registration."""

from __future__ import annotations

import textwrap
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import simpy

from rollcast.simulator.base.draws import Purpose
from rollcast.simulator.base.errors import SimulatorError
from rollcast.simulator.calibration.alone import run, single
from rollcast.simulator.engines.choice import choose
from rollcast.simulator.engines.reference.station import ProcessStation, Visit, station
from rollcast.simulator.engines.reference.world import Simulation
from rollcast.simulator.forecast.parallel import work
from rollcast.simulator.stations import kinds
from rollcast.simulator.stations.custom import load_stations
from rollcast.simulator.stations.profiles import Profile, parse
from rollcast.simulator.traffic.recording import Traffic


class CoinProfile(Profile):
    station: Literal["coin"] = "coin"
    slow_s: float = 2.0


@pytest.fixture
def coin() -> Iterator[None]:
    @station("coin", CoinProfile)
    class Coin(ProcessStation):
        def serve(self, visit: Visit) -> Generator[simpy.Event, Any, None]:
            assert isinstance(self.spec.profile, CoinProfile)
            lucky = self.uniform(visit, Purpose.SERVICE) < 0.5
            yield self.clock.timeout(1.0 if lucky else self.spec.profile.slow_s)

    yield
    del kinds._REGISTERED["coin"]


@pytest.mark.usefixtures("coin")
def test_an_own_station_serves_and_chooses_the_reference_engine(azure_hour: Traffic) -> None:
    network = single(parse({"station": "coin", "slow_s": 3.0}, "artifact coin@1"))
    traffic = azure_hour.between(0.0, 5.0)
    served = run(Simulation(network, traffic, 7), traffic)
    assert set(np.round(served.latency_s, 6)) == {1.0, 3.0}
    assert choose("auto", network) == ("simpy", "simpy serves, as coin is a station of your own")
    with pytest.raises(SimulatorError, match="--engine simpy"):
        choose("compiled", network)


def test_an_unknown_station_names_the_nearest() -> None:
    with pytest.raises(
        SimulatorError,
        match=r"artifact llama@1: profile 'station' is 'lm': There is no station of kind 'lm'. Did you mean 'llm'",
    ):
        parse({"station": "lm"}, "artifact llama@1")


def test_a_mistaken_profile_names_its_fields() -> None:
    with pytest.raises(SimulatorError, match=r"profile\.concurrency: .*; profile\.concurency is not known"):
        parse({"station": "pool", "concurency": 2, "concurrency": 0}, "artifact index@1")


def test_the_station_that_the_contributors_guide_adds(azure_hour: Traffic, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text("utf-8")
    text = next(part for part in guide.split("```python\n")[1:] if "@station" in part).split("```")[0]
    (tmp_path / "stations").mkdir()
    (tmp_path / "stations" / "coin.py").write_text(textwrap.dedent(text), "utf-8")
    try:
        load_stations(tmp_path)
        traffic = azure_hour.between(0.0, 5.0)
        served = run(Simulation(single(parse({"station": "coin", "slow_s": 3.0}, "coin@1")), traffic, 7), traffic)
    finally:
        kinds.forget_project()
    assert set(np.round(served.latency_s, 6)) == {1.0, 3.0}


def _most_s(profile: Profile, piece: int) -> float:
    return float(getattr(profile, "most_s", -1.0)) + piece + ("lottery" not in kinds.kinds())


def test_workers_know_the_stations_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "stations").mkdir()
    (tmp_path / "stations" / "lottery.py").write_text(
        "from typing import Literal\n"
        "from rollcast.simulator.stations.profiles import Profile\n"
        "from rollcast.simulator.engines.reference.station import ProcessStation, station\n"
        "class LotteryProfile(Profile):\n    station: Literal['lottery'] = 'lottery'\n    most_s: float = 0.25\n"
        "@station('lottery', LotteryProfile)\nclass Lottery(ProcessStation):\n    pass\n",
        "utf-8",
    )
    try:
        load_stations(tmp_path)
        profile = parse({"station": "lottery"}, "lottery@1")
        found = [work(partial(_most_s, profile), range(16), workers, lambda done: None).results for workers in (1, 2)]
    finally:
        kinds.forget_project()
    assert found[0] == found[1] == {piece: piece + 0.25 for piece in range(16)}
