"""The plans of the shipped example, and its recorded traffic at thirty times its rate."""

from __future__ import annotations

import pytest

from rollcast.planner.plan.models import Plan
from rollcast.simulator.traffic.recording import Traffic, read_traffic
from tests.simulator.recorded import TRACE, plan_between


@pytest.fixture(scope="session")
def good_plan() -> Plan:
    return plan_between("released.yaml", "rollcast.yaml")


@pytest.fixture(scope="session")
def harmful_plan() -> Plan:
    return plan_between("rollcast.yaml", "harmful.yaml")


@pytest.fixture(scope="session")
def azure_hour() -> Traffic:
    return read_traffic(TRACE, seed=0, scale=30.0)
