"""What a stage can detect, before it begins: monotone in traffic and time, called out where the margin is beyond it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.gates.growth import Baseline
from rollcast.planner.gates.power import Detectable, detectable, detectable_in_stage
from rollcast.planner.gates.spec import GateSpec
from tests.gates.streams import EVERY_KIND, MEAN, QUANTILE, RATE, SLO, draw

SAMPLE = draw(20_000)
BASELINES = {spec.metric: Baseline(sample=SAMPLE.values[spec.reads]) for spec in EVERY_KIND}
KIND = st.sampled_from(EVERY_KIND)
SPLIT = st.sampled_from([0.05, 0.1, 0.5])


def predicted(spec: GateSpec, split: float = 0.5, users_per_s: float = 1.0, within_s: float = 7200.0) -> Detectable:
    return detectable(
        spec,
        split=split,
        alpha=0.01,
        users_per_s=users_per_s,
        bake_max_s=within_s,
        baseline=BASELINES[spec.metric],
        advance_alpha=0.05,
    )


@given(KIND, SPLIT, st.floats(0.05, 20), st.floats(1.1, 5))
def test_more_traffic_never_detects_less(spec: GateSpec, split: float, users_per_s: float, more: float) -> None:
    little, much = predicted(spec, split, users_per_s), predicted(spec, split, users_per_s * more)
    assert (much.smallest or math.inf) <= (little.smallest or math.inf) * 1.002
    if little.margin_s is not None:
        assert much.margin_s is not None
        assert much.margin_s <= little.margin_s * 1.002


@given(KIND, SPLIT, st.floats(0.05, 20))
def test_the_margin_is_covered_exactly_where_it_is_no_smaller_than_what_can_be_detected(
    spec: GateSpec, split: float, users_per_s: float
) -> None:
    found = predicted(spec, split, users_per_s)
    if found.smallest is None:
        assert not found.covers_margin
    elif abs(found.smallest / spec.margin - 1) > 0.01:
        assert found.covers_margin == (found.smallest < spec.margin)


@given(KIND, SPLIT)
def test_no_traffic_detects_nothing(spec: GateSpec, split: float) -> None:
    found = predicted(spec, split, users_per_s=1e-4)
    assert (found.smallest, found.margin_s, found.no_worse_s) == (None, None, None)
    assert "no regression can be detected" in found.sentence


@pytest.mark.parametrize("split", [0.0, 1.0])
def test_without_two_arms_nothing_is_compared(split: float) -> None:
    assert predicted(RATE, split).smallest is None


def test_an_audience_that_is_used_up_detects_no_more() -> None:
    few = detectable(
        RATE, split=0.5, alpha=0.01, users_per_s=10.0, bake_max_s=1e6, baseline=Baseline(0.02), audience_users=500
    )
    assert few.smallest is not None
    assert few.smallest > RATE.margin
    assert not few.covers_margin


def test_labels_that_come_late_are_waited_for() -> None:
    late = RATE.model_copy(update={"label_delay_s": 3600.0})
    now, then = predicted(RATE, within_s=40_000.0), predicted(late, within_s=40_000.0)
    assert now.margin_s is not None
    assert then.margin_s is not None
    assert then.margin_s == pytest.approx(now.margin_s + 3600, rel=1e-3)


def test_where_higher_is_better_the_value_is_the_attainment() -> None:
    attained = float(np.mean(SAMPLE.values["latency_s"] <= 2.0))
    tested = detectable(SLO, split=0.5, alpha=0.01, users_per_s=1.0, bake_max_s=7200, baseline=Baseline(attained))
    sampled = detectable(
        SLO, split=0.5, alpha=0.01, users_per_s=1.0, bake_max_s=7200, baseline=BASELINES["slo_attainment"]
    )
    assert tested.smallest == pytest.approx(sampled.smallest, rel=0.01)


@pytest.mark.parametrize(
    ("spec", "baseline", "missing"),
    [
        (RATE, Baseline(), "violation_rate needs the baseline's rate"),
        (MEAN, Baseline(0.8), "satisfaction needs the baseline's standard deviation"),
        (QUANTILE, Baseline(1.2), "latency_p95_s needs a sample"),
    ],
)
def test_a_baseline_that_says_too_little_is_refused(spec: GateSpec, baseline: Baseline, missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        detectable(spec, split=0.5, alpha=0.01, users_per_s=1.0, bake_max_s=7200, baseline=baseline)


def test_a_stage_divides_its_error_rate_as_its_gates_do() -> None:
    found = detectable_in_stage(
        EVERY_KIND, split=0.5, alpha=0.05, users_per_s=1.0, bake_max_s=7200, baselines=BASELINES
    )
    assert [each.smallest for each in found] == [predicted(spec).smallest for spec in EVERY_KIND]


def test_sentences_of_a_plan() -> None:
    assert predicted(RATE).sentence == (
        "violation_rate at 50 % within 2.0 h: a regression of the margin, 2.00 points, is detected after 74 min;"
        " a release as good as the baseline passes after 32 min"
    )
    assert predicted(RATE, 0.05).sentence == (
        "violation_rate at 5 % within 2.0 h: only a regression of 3.93 points or more is detected,"
        " not the margin of 2.00 points"
    )
    slow = RATE.model_copy(update={"margin": 0.001})
    assert "not the margin of 0.10 points" in predicted(slow).sentence
