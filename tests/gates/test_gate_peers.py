"""The rules of other tools, as their documentation has them: what the comparison in the docs rests on."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from validation.gate_peers import (
    MINUTES,
    SCENARIOS,
    flagger,
    is_high,
    kayenta,
    per_minute,
    rank_statistic,
    rollcast,
    shift_at,
    without_outliers,
)

LIMITS = {"violation_rate": 0.05, "latency_p95_s": 3.0, "satisfaction": 0.7}


def points(**metrics: float) -> dict[str, np.ndarray]:
    usual = {"violation_rate": 0.02, "latency_p95_s": 2.0, "satisfaction": 0.8}
    return {name: np.full(MINUTES, value) for name, value in (usual | metrics).items()}


@given(st.integers(0, 1000), st.integers(5, 60), st.integers(5, 60), st.booleans())
def test_the_rank_statistic_is_scipys(seed: int, n: int, m: int, tied: bool) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(0.3, 1, n), rng.normal(0, 1, m)
    if tied:
        x, y = np.round(x), np.round(y)
    assume(len(np.unique(np.concatenate([x, y]))) > 1)
    p = mannwhitneyu(x, y, alternative="two-sided", method="asymptotic", use_continuity=True).pvalue
    assert abs(2 * norm.sf(abs(rank_statistic(0.0, x, y))) - p) < 1e-9 or p == 1.0


def test_the_shift_is_the_median_of_all_differences() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(1, 1, 41), rng.normal(0, 1, 37)
    assert abs(shift_at(0.0, x, y) - np.median(x[:, None] - y)) < 0.02


def test_a_metric_is_high_where_the_interval_clears_a_quarter_of_the_estimate() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(10, 1, 60)
    assert is_high(y + 2 + rng.normal(0, 0.1, 60), y)
    assert not is_high(y + rng.normal(0, 0.1, 60), y)
    assert not is_high(y - 2, y)
    assert not is_high(np.array([]), y)


def test_far_outliers_are_left_out() -> None:
    values = np.concatenate([np.linspace(0, 1, 300), [50.0]])
    assert without_outliers(values).max() <= 1.0


def test_five_failed_checks_roll_back_and_are_never_forgotten() -> None:
    canary = points()
    canary["violation_rate"][[3, 50, 90, 130]] = 0.5
    assert flagger(canary, LIMITS).ended == "passed"
    canary["satisfaction"][170] = 0.1
    assert (flagger(canary, LIMITS).ended, flagger(canary, LIMITS).minutes) == ("rolled_back", 171.0)


def test_one_high_metric_of_three_fails_at_the_end_of_its_hour() -> None:
    rng = np.random.default_rng(3)
    noise = {name: rng.normal(0, 0.001, MINUTES) for name in points()}
    baseline = {name: value + noise[name] for name, value in points().items()}
    canary = {name: value + rng.normal(0, 0.001, MINUTES) for name, value in points().items()}
    assert kayenta(canary, baseline).ended == "passed"
    canary["latency_p95_s"][60:] += 1.0
    assert (kayenta(canary, baseline).ended, kayenta(canary, baseline).minutes) == ("rolled_back", 120.0)


def test_the_gates_pass_the_same_release_and_catch_a_harmful_one() -> None:
    same, harmful = (SCENARIOS[name][1](np.random.default_rng(4)) for name in ("same release", "violations 2 % → 5 %"))
    assert rollcast(same).ended == "passed"
    assert rollcast(harmful).ended == "rolled_back"
    assert np.isfinite(per_minute(same, np.flatnonzero(same.candidate))["violation_rate"]).all()
