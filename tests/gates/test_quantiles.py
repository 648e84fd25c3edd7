"""Proofs about quantiles: each count is a supermartingale, bins only weaken evidence, every x must be refuted."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.gates.blocks import block_sizes
from rollcast.planner.gates.quantiles import EDGES, QuantileTest, difference_interval, tails_of

SPLIT = st.sampled_from([0.05, 0.1, 0.5, 0.75])
CHANCE = st.floats(0.01, 0.99)
COUNT = st.integers(0, 500)


@given(SPLIT, CHANCE, COUNT, COUNT, COUNT, COUNT, st.floats(0, 1))
def test_evidence_can_not_be_expected_to_grow_under_the_null(
    split: float, chance: float, t: int, more_c: int, a: int, more_b: int, part: float
) -> None:
    tails = tails_of(chance, block_sizes(split))
    n_c, n_b = t + more_c, a + more_b
    now = float(tails.log_e(t, n_c, a, n_b))
    toward, not_toward = (math.exp(float(tails.log_e(t + i, n_c + 1, a, n_b)) - now) for i in (1, 0))
    p = chance * part
    assert p * toward + (1 - p) * not_toward <= 1 + 1e-9
    away, not_away = (math.exp(float(tails.log_e(t, n_c, a + i, n_b + 1)) - now) for i in (1, 0))
    p = (1 - chance) * part
    assert p * away + (1 - p) * not_away <= 1 + 1e-9


@given(SPLIT, CHANCE, COUNT, COUNT, COUNT, COUNT)
def test_an_outcome_that_is_not_counted_only_weakens_evidence(
    split: float, chance: float, t: int, more_c: int, a: int, more_b: int
) -> None:
    tails = tails_of(chance, block_sizes(split))
    n_c, n_b = t + more_c + 1, a + more_b + 1
    assert tails.log_e(t, n_c, a, n_b) <= tails.log_e(t + 1, n_c, a, n_b) + 1e-9
    assert tails.log_e(t, n_c, a, n_b) <= tails.log_e(t, n_c, a + 1, n_b) + 1e-9


def exact(test: QuantileTest, candidate: np.ndarray, baseline: np.ndarray) -> tuple[float, float]:
    """Both e-values from the values themselves: the least over every x that makes a difference."""
    marks = np.concatenate([candidate, baseline, candidate - test.margin])
    found = ([], [])
    for x in np.unique(np.concatenate([marks, np.nextafter(marks, 0), np.nextafter(marks, 1e9), [1e-5, 1e6]])):
        n_c, n_b = len(candidate), len(baseline)
        harm = test.harm.log_e(int((candidate > x).sum()), n_c, int((baseline < x).sum()), n_b)
        under = int((candidate < x + test.margin).sum())
        found[0].append(float(harm))
        found[1].append(float(test.no_worse.log_e(under, n_c, int((baseline > x).sum()), n_b)))
    return min(found[0]), min(found[1])


@given(st.integers(0, 10_000), SPLIT, st.sampled_from([0.5, 0.9, 0.95]), st.floats(0.5, 3))
def test_bins_never_strengthen_evidence_and_lose_little(seed: int, split: float, q: float, slower: float) -> None:
    rng = np.random.default_rng(seed)
    test = QuantileTest(q, split, 0.2)
    candidate = rng.random(150) < split
    values = rng.lognormal(0, 0.5, 150) * np.where(candidate, slower, 1.0)
    test.observe(candidate, values)
    harm, no_worse = exact(test, values[candidate], values[~candidate])
    rounding = 1e-7  # nats: both are minima over a grid of hundreds of sums
    assert test.log_harm() <= harm + rounding
    assert test.log_no_worse() <= no_worse + rounding
    assert test.log_harm() >= harm - 2.5
    assert test.log_no_worse() >= no_worse - 2.5


@given(st.integers(0, 10_000), SPLIT, st.floats(0.5, 3), st.floats(0.5, 8))
def test_a_quick_look_decides_as_the_full_one(seed: int, split: float, slower: float, limit: float) -> None:
    rng = np.random.default_rng(seed)
    test = QuantileTest(0.9, split, 0.3)
    candidate = rng.random(600) < split
    test.observe(candidate, rng.lognormal(0, 0.5, 600) * np.where(candidate, slower, 1.0))
    assert (test.log_harm(limit) >= limit) == (test.log_harm() >= limit)
    assert (test.log_no_worse(limit) >= limit) == (test.log_no_worse() >= limit)


def test_one_arm_alone_proves_nothing() -> None:
    test = QuantileTest(0.5, 0.5, 0.1)
    test.observe(np.ones(5000, bool), np.full(5000, 9.0))
    assert test.log_harm() == 0.0
    assert test.log_no_worse() == 0.0


def test_lost_requests_count_as_slow() -> None:
    test = QuantileTest(0.5, 0.5, 0.1)
    candidate = np.arange(2000) % 2 == 0
    test.observe(candidate, np.where(candidate, math.inf, 1.0))
    assert test.log_harm() > 20


def test_the_estimate_is_the_sample_quantile_within_half_a_percent() -> None:
    rng = np.random.default_rng(0)
    test = QuantileTest(0.95, 0.5, 0.1)
    values, candidate = rng.lognormal(0, 0.5, 5000), rng.random(5000) < 0.5
    test.observe(candidate, values)
    for found, own in zip(test.estimates(), (values[candidate], values[~candidate]), strict=True):
        assert abs(found / np.quantile(own, 0.95, method="inverted_cdf") - 1) <= 0.0051


def test_the_interval_holds_the_difference() -> None:
    rng = np.random.default_rng(3)
    test = QuantileTest(0.95, 0.5, 0.1)
    candidate = rng.random(20_000) < 0.5
    test.observe(candidate, rng.lognormal(0, 0.5, 20_000) * np.where(candidate, 1.3, 1.0))
    true = 0.3 * math.exp(0.5 * 1.6448536)
    low, high = difference_interval(test.counts, 0.95, 0.05)
    assert low < true < high
    assert high - low < 0.6
    assert EDGES[0] == 1e-4
