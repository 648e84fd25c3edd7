"""What a rollout costs in capacity: what instances take, at the environment's prices, for as long as they are there."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollcast.cli.output.forecast import text_of
from rollcast.planner.base.errors import DeclarationError
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import SlotVersion
from rollcast.simulator.forecast.models import Forecast
from rollcast.simulator.forecast.runs import seed_of
from rollcast.simulator.forecast.simulate import simulate, stage_of
from rollcast.simulator.replay.replay import Replay, replay
from rollcast.simulator.traffic.recording import Traffic
from tests.simulator.recorded import EXAMPLE

RESOURCES = ("accelerators", "memory_gib")
amounts = st.dictionaries(st.sampled_from(RESOURCES), st.integers(0, 8).map(float))
prices = st.dictionaries(st.sampled_from(RESOURCES), st.floats(0, 50), min_size=1)


def priced(plan: Plan, usd: dict[str, float], regions: tuple[str, ...] = ()) -> Plan:
    own = {"prices_usd_per_hour": usd, "regions": {name: {} for name in regions}}
    return plan.model_copy(update={"settings": type(plan.settings).model_validate(own)})


def needing(plan: Plan, needs: dict[str, dict[str, float]], replicas: int = 1) -> Plan:
    """The same plan, with what each version takes."""

    def one(slot: SlotVersion) -> SlotVersion:
        return slot.model_copy(update={"needs": needs.get(slot.reference, {}), "replicas": replicas})

    releases = {
        name: release.model_copy(update={"slots": {n: one(slot) for n, slot in release.slots.items()}})
        for name, release in plan.releases.items()
    }
    return plan.model_copy(update={"releases": releases})


def references(plan: Plan) -> list[str]:
    return sorted({slot.reference for release in plan.releases.values() for slot in release.slots.values()})


def hourly(plan: Plan, milestone: int, usd: dict[str, float]) -> float:
    """By hand: what exists at a milestone, one instance after the other."""
    found = 0.0
    for release, slot in plan.state_at(milestone).instances.values():
        version = plan.releases[release].slots[slot]
        found += sum(version.needs.get(name, 0.0) * version.replicas * price for name, price in usd.items())
    return found


@pytest.fixture(scope="module")
def minute(azure_hour: Traffic) -> Traffic:
    return azure_hour.between(0.0, 60.0)


def replayed(plan: Plan, traffic: Traffic, seed: int = 1) -> Replay:
    stage, _ = stage_of(plan, traffic)
    own = seed_of(seed, 0)
    return replay(stage.inputs, stage.maker.make(own, True), own, stage.priors.rates(own))


@settings(max_examples=15)
@given(data=st.data(), usd=prices, replicas=st.integers(1, 4))
def test_a_promotion_costs_each_milestones_instances_for_its_own_time(
    data: st.DataObject, usd: dict[str, float], replicas: int, good_plan: Plan, minute: Traffic
) -> None:
    needs = data.draw(st.fixed_dictionaries(dict.fromkeys(references(good_plan), amounts)))
    plan = priced(needing(good_plan, needs, replicas), usd)
    found = replayed(plan, minute)
    assert found.ending == "promoted"
    begun = [0.0, *(stage.entered_s for stage in found.stages), found.duration_s]
    reached = [-1, *(stage.milestone for stage in found.stages)]
    spans = [(at, end - start) for at, (start, end) in zip(reached, pairwise(begun), strict=True)]
    low = sum(hourly(plan, at, usd) * seconds / 3600 for at, seconds in spans)
    # While operations work, what they make is paid already; the example's take no more than the rest of this span.
    high = sum(max(hourly(plan, at, usd), hourly(plan, at + 1, usd)) * s / 3600 for at, s in spans[:-1])
    high += hourly(plan, spans[-1][0], usd) * spans[-1][1] / 3600
    assert low - 1e-6 <= found.usd + 1e-9 * abs(low)
    assert found.usd <= high + sum(_retired(plan, at, usd) * s / 3600 for at, s in spans) + 1e-6
    assert found.most_usd_per_hour >= max(hourly(plan, at, usd) for at in reached) - 1e-9


def _retired(plan: Plan, at: int, usd: dict[str, float]) -> float:
    """What the next milestone takes away and makes, by the hour."""
    here, there = plan.state_at(at).instances, plan.state_at(at + 1).instances
    both = {folder: used for folder, used in {**here, **there}.items() if here.get(folder) != there.get(folder)}
    found = 0.0
    for release, slot in both.values():
        version = plan.releases[release].slots[slot]
        found += sum(version.needs.get(name, 0.0) * version.replicas * price for name, price in usd.items())
    return found


@settings(max_examples=10)
@given(one=prices, other=prices, times=st.integers(0, 5))
def test_cost_is_linear_in_prices(
    one: dict[str, float], other: dict[str, float], times: int, good_plan: Plan, minute: Traffic
) -> None:
    plan = needing(good_plan, {name: {"accelerators": 2.0, "memory_gib": 16.0} for name in references(good_plan)})
    both = {name: one.get(name, 0.0) + times * other.get(name, 0.0) for name in RESOURCES}
    first, second, sum_ = (replayed(priced(plan, usd), minute) for usd in (one, other, both))
    assert sum_.usd == pytest.approx(first.usd + times * second.usd, rel=1e-9, abs=1e-9)
    assert replace(sum_, usd=0, most_usd_per_hour=0, request_log=first.request_log, demand=()) == replace(
        first, usd=0, most_usd_per_hour=0, demand=()
    ), "a price changes what a rollout costs, and nothing that it does"


def cost(plan: Plan, traffic: Traffic) -> Forecast:
    return simulate(plan, traffic, runs=20, seed=3, workers=1, detect=0)


def test_a_forecast_says_what_the_rollout_costs_beside_the_same_time_without_it(
    harmful_plan: Plan, minute: Traffic
) -> None:
    every = {name: {"accelerators": 2.0} for name in references(harmful_plan)}
    plan = priced(needing(harmful_plan, every), {"accelerators": 3.0})
    found = cost(plan, minute)
    own = found.capacity_cost
    assert own is not None
    assert own.usd_interval is not None
    assert own.before_usd_per_hour == hourly(plan, -1, {"accelerators": 3.0}) > 0
    assert own.most_usd_per_hour > own.before_usd_per_hour, "old and new stand beside each other"
    assert own.usd > own.baseline_usd > 0
    assert f"${own.usd:,.2f} while it lasts" in text_of(found)
    assert Forecast.from_json(found.to_json()).capacity_cost == own


def test_an_instance_is_paid_in_every_region_where_it_is(good_plan: Plan, minute: Traffic) -> None:
    plan = needing(good_plan, {name: {"accelerators": 1.0} for name in references(good_plan)})
    one, two = (replayed(priced(plan, {"accelerators": 1.0}, r), minute) for r in (("eu",), ("eu", "us")))
    assert two.usd == pytest.approx(2 * one.usd)


def test_no_prices_are_no_cost_and_a_price_for_what_nothing_needs_is_said(good_plan: Plan, minute: Traffic) -> None:
    plain = cost(good_plan, minute)
    assert plain.capacity_cost is None
    assert "capacity  " not in text_of(plain)
    found = cost(priced(good_plan, {"gpus": 2.0}), minute)
    assert found.capacity_cost is not None
    assert found.capacity_cost.usd == 0.0
    assert any("gpus, which no component needs" in warning for warning in found.warnings)


@pytest.mark.parametrize("price", ["-1", ".nan", ".inf"])
def test_a_price_that_is_none_is_refused_at_its_line(price: str) -> None:
    text = (EXAMPLE / "rollcast.yaml").read_text("utf-8")
    begin = text.index("environments:")
    name = text[begin:].splitlines()[1].strip().split(":")[0]
    text = text.replace(f"  {name}:", f"  {name}:\n    prices_usd_per_hour: {{accelerators: {price}}}", 1)
    with pytest.raises(DeclarationError, match=r"prices_usd_per_hour\.accelerators"):
        load(text, "rollcast.yaml", lambda file: (EXAMPLE / file).read_text("utf-8"))
