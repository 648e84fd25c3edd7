"""A forecast of a first release, or of one that no request reaches, says that nothing was proved, everywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rollcast.cli.output.forecast import text_of
from rollcast.cli.reports.subject import Named, Subject
from rollcast.cli.reports.verdict import verdict_of
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.simulator.forecast.models import UNPROVED, Forecast
from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.traffic.formats import Rows
from rollcast.simulator.traffic.recording import Traffic, traffic_of
from tests.planner.test_first_release import EXAMPLE, first_plan

CHANNEL = """
channels:
  clinic: {route: {segment: clinic}, components: {generator: {prompt: answer@VERSION}}}
"""


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    rows = Rows(np.arange(400) * 0.05, np.full(400, 50), np.full(400, 20))
    return traffic_of(rows, "four hundred requests")


def _subject(plan: Plan, found: Forecast) -> Subject:
    return Subject(plan, (Named("forecast", found),))


def forecast(plan: Plan, traffic: Traffic) -> Forecast:
    return simulate(plan, traffic, runs=2, seed=3, workers=1, detect=0)


def test_a_first_release_is_compared_with_nothing_and_proves_nothing(traffic: Traffic) -> None:
    plan = first_plan()
    found = forecast(plan, traffic)
    assert found.proof == "uncompared"
    assert found.outcome.promoted == 1.0
    assert all(m.baseline is None and m.difference is None and m.limit is None for m in found.metrics)
    said = verdict_of(_subject(plan, found))
    assert said.tone == "warn"
    assert UNPROVED["uncompared"] in text_of(found).lower()
    assert UNPROVED["uncompared"] in said.headline.lower()
    assert json.loads(json.dumps(found.to_json()))["proof"] == "uncompared"


def test_a_release_that_no_request_reaches_proves_nothing(traffic: Traffic) -> None:
    """Only a channel changes, and nobody of the traffic is routed to it."""
    base = (EXAMPLE / "released.yaml").read_text("utf-8")
    read = lambda file: (EXAMPLE / file).read_text("utf-8")  # noqa: E731
    before, after = (load(base + CHANNEL.replace("VERSION", version), read=read) for version in "12")
    plan = make_plan(after, live_as_declared(before))
    assert not plan.empty
    found = forecast(plan, traffic)
    assert found.proof == "unserved"
    said = verdict_of(_subject(plan, found))
    assert said.tone != "good"
    assert UNPROVED["unserved"] in text_of(found)
    assert UNPROVED["unserved"] in found.warnings, "one sentence in every output"


def test_a_release_beside_another_is_compared(traffic: Traffic) -> None:
    read = lambda file: (EXAMPLE / file).read_text("utf-8")  # noqa: E731
    before, after = (load(read(name), read=read) for name in ("released.yaml", "rollcast.yaml"))
    assert forecast(make_plan(after, live_as_declared(before)), traffic).proof == "compared"
    assert forecast(make_plan(before, live_as_declared(before)), traffic).proof == "compared", "nothing changes"
