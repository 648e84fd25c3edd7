"""What a station must answer: the entry points `rollcast.stations`, or a project's own `stations/*.py`.

    class TestDice(StationConformance):
        def make(self) -> Mapping[str, Any]:
            return {"station": "dice", "side_s": 0.01}

The station is found by its name, as a declaration finds it, so it has to be installed or registered.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.calibration.alone import single
from rollcast.simulator.engines.interface import Batch
from rollcast.simulator.engines.reference.world import Simulation
from rollcast.simulator.stations.kinds import profile_model
from rollcast.simulator.stations.profiles import Profile, parse
from rollcast.simulator.traffic.recording import Traffic

_REQUESTS = 60
_SEED = 7


class StationConformance:
    """Subclass it; give `make`."""

    def make(self) -> Mapping[str, Any]:
        """A profile of the station as a declaration has it, without a cache: one under which requests are served."""
        raise NotImplementedError

    def _profile(self) -> Profile:
        return parse(dict(self.make()), "the profile of this suite")

    def _served(self, every_s: float, pieces: Sequence[float] = (), chosen: Ints | None = None) -> dict[int, float]:
        """Request -> latency in seconds (NaN where it failed), of requests that come so often, or of some of them.

        pieces: moments at which the engine stops and goes on. Raises AssertionError where one ends twice or never.
        """
        traffic = _traffic(every_s)
        requests = np.arange(len(traffic), dtype=np.int64) if chosen is None else chosen
        engine = Simulation(single(self._profile()), traffic, _SEED)
        arrival_s = traffic.arrival_s[requests]
        engine.submit(Batch(requests, arrival_s, requests, np.zeros(len(requests), np.int64)))
        found: dict[int, float] = {}
        for until_s in (*pieces, float("inf")):
            done = engine.advance(until_s)
            for request, at_s, failed in zip(done.request.tolist(), done.done_s, done.failed, strict=True):
                assert request not in found, f"request {request} ended twice"
                found[request] = float("nan") if failed else float(at_s - traffic.arrival_s[request])
        never = sorted(set(requests.tolist()) - set(found))
        assert not never, f"requests {never} never ended: call 'finish' or 'fail' once for each visit"
        return found

    def test_its_profile_knows_its_keys(self) -> None:
        """A misspelt key of the declaration is found at its line."""
        profile = self._profile()
        model = profile_model(profile.station)
        assert model.model_config.get("extra") == "forbid", f"{model.__name__} takes keys that it does not name"

    def test_its_profile_reaches_other_processes(self) -> None:
        """A forecast runs on all cores."""
        profile = self._profile()
        assert pickle.loads(pickle.dumps(profile)) == profile, "the profile is another one after it was pickled"

    def test_every_request_ends_once_and_not_before_it_came(self) -> None:
        """At leisure and in a rush."""
        for every_s in (1000.0, 0.001):
            early = {request: took_s for request, took_s in self._served(every_s).items() if took_s < 0}
            assert not early, f"requests ended before they came: {early}"

    def test_requests_are_served_at_leisure(self) -> None:
        """Else the profile of this suite says nothing of the station."""
        failed = [request for request, took_s in self._served(1000.0).items() if took_s != took_s]
        assert not failed, f"requests {failed} failed, with nobody else there"

    def test_the_same_seed_gives_the_same_times(self) -> None:
        """A forecast can be made again. Luck comes from `uniform`, never from `random`."""
        for every_s in (1000.0, 0.001):
            _same(self._served(every_s), self._served(every_s), "two runs of one seed differ")

    def test_where_time_is_cut_changes_nothing(self) -> None:
        """Gates look at moments of their own."""
        cuts = np.linspace(0.0, 0.001 * _REQUESTS, 17).tolist()
        _same(self._served(0.001), self._served(0.001, cuts), "a station knows when it was looked at")

    def test_a_requests_luck_is_its_own(self) -> None:
        """With or without the rollout, a request has the same luck: the two worlds differ by the release alone."""
        some = np.arange(0, _REQUESTS, 3, dtype=np.int64)
        every = self._served(1000.0)
        wanted = {request: every[request] for request in some.tolist()}
        _same(wanted, self._served(1000.0, chosen=some), "a request's time hangs on who else came, long before it")


def _traffic(every_s: float) -> Traffic:
    """Requests at equal distances, of different lengths."""
    numbers = np.arange(_REQUESTS, dtype=np.int64)
    nobody = np.zeros(_REQUESTS, np.int64)
    return Traffic(
        arrival_s=(numbers * every_s).astype(np.float64),
        input_tokens=50 + 13 * (numbers % 7), output_tokens=5 + numbers % 11, key=nobody,
        keys=("user",), attributes=nobody, classes=({},), query=numbers, span_s=_REQUESTS * every_s,
    )  # fmt: skip


def _same(wanted: Mapping[int, float], found: Mapping[int, float], otherwise: str) -> None:
    names = sorted(wanted)
    times: tuple[Floats, Floats] = (
        np.array([wanted[name] for name in names]),
        np.array([found[name] for name in names]),
    )
    differ = [name for name, same in zip(names, np.isclose(*times, rtol=1e-9, equal_nan=True), strict=True) if not same]
    assert not differ, f"{otherwise}: requests {differ[:5]}"


__all__ = ["StationConformance"]
