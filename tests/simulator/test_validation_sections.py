"""The simulator's parts of the validation page run, at a small scale, and say when an aim is missed."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from rollcast.simulator.calibration.alone import serve_alone
from rollcast.simulator.calibration.fit_pool import fit_pool
from rollcast.simulator.stations.distributions import Distribution
from rollcast.simulator.stations.profiles import PoolProfile
from validation import running_service
from validation.__main__ import renewed
from validation.queues import poisson
from validation.running_service import AIMS, Measured, out_of_sample


@pytest.mark.slow
@pytest.mark.parametrize("name", ["queues", "queue_peers", "serving"])
def test_a_section_of_the_page_is_written(name: str) -> None:
    text = importlib.import_module(f"validation.{name}").section(0.01)
    assert text.startswith("## ")
    assert "| NO |" not in text


def test_a_service_is_forecast_from_its_first_half() -> None:
    service = Distribution(distribution="lognormal", mean=0.4, cv=0.4)
    traffic = poisson(8000, 5)
    served = serve_alone(PoolProfile(service_s=service, overhead_s=0.1), traffic, seed=3)
    found = out_of_sample(Measured.of(traffic.arrival_s, served.latency_s))
    assert found.servers == 1
    assert all(abs(found.error(name)) < aim for name, aim in AIMS.items())
    assert abs(found.error("throughput")) < 0.01


def test_one_stall_in_thousands_does_not_slow_a_calibrated_service() -> None:
    """The slowest quantile keeps the mean: with the maximum there, the table's last step would be full of stalls."""
    traffic = poisson(8000, 5)
    latency_s = serve_alone(PoolProfile(service_s=Distribution(mean=0.5)), traffic, seed=3).latency_s
    latency_s[np.flatnonzero(latency_s < 0.501)[100]] += 30.0
    profile = fit_pool(traffic, latency_s).profile
    assert profile.service_s.encode().mean + profile.overhead_s == pytest.approx(0.5 + 30 / 4000, rel=0.02)


def test_a_missed_aim_is_said() -> None:
    arrival_s = np.arange(2000.0)
    twice = np.where(arrival_s < 1000, 0.1, 0.2)
    rows = list(running_service._rows("a service", [out_of_sample(Measured(arrival_s, twice))]))
    assert "aims NOT met" in rows[2]


def test_a_section_is_renewed_in_its_place() -> None:
    page = "# Validation\n\nWords.\n\n## One\n\n1\n\n## Two\n\n2\n\n### Part\n\n2.1\n\n## Three\n\n3\n"
    assert renewed(page, ["## Two\n\nnew", "## Three\n\n3"]) == page.replace("2\n\n### Part\n\n2.1", "new")
    assert renewed(page, ["## One\n\n1\n\n## Two\n\n2\n\n### Part\n\n2.1"]) == page
    assert renewed(page, ["## Four\n\n4"]) == page + "\n## Four\n\n4\n"


@pytest.mark.engine
@pytest.mark.slow
def test_a_running_service_is_measured_and_forecast() -> None:
    with ThreadPoolExecutor(1) as thread:  # a browser of another test may have left a loop running in this one
        text = thread.submit(running_service.section, 0.1).result()
    assert "| the service's records |" in text
    assert "| its callers |" in text
    assert "nan" not in text
