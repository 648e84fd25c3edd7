"""The e-processes of two rates are test supermartingales all over their nulls, whatever came before."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from rollcast.planner.gates.blocks import block_sizes
from rollcast.planner.gates.rates import LOG_ODDS_RATIOS, RateTest, around, nearest_worse

SIZES = st.sampled_from([(1, 1), (1, 3), (1, 9), (3, 7), (9, 1)])
CHANCE = st.floats(0.0005, 0.9995)
MARGIN = st.floats(0.001, 0.3)


@st.composite
def histories(draw: st.DrawFn) -> RateTest:
    """A test after some blocks, likely and unlikely ones."""
    sizes, seed = draw(SIZES), draw(st.integers(0, 10_000))
    test = RateTest(sizes, draw(MARGIN))
    rng = np.random.default_rng(seed)
    blocks = draw(st.integers(0, 120))
    p_c, p_b = draw(CHANCE), draw(CHANCE)
    test.advance(rng.binomial(sizes[0], p_c, (1, blocks)), rng.binomial(sizes[1], p_b, (1, blocks)))
    return test


def expected_growth(test: RateTest, p_c: float, p_b: float) -> tuple[float, float]:
    """Exact expected factor by which the next block multiplies both e-values."""
    sums = np.zeros(2)
    before = np.array([test.log_harm()[0], test.log_no_worse()[0]])
    for fail_c, fail_b in product(range(test.sizes[0] + 1), range(test.sizes[1] + 1)):
        after = RateTest.from_json(test.to_json())
        after.advance(np.array([[fail_c]]), np.array([[fail_b]]))
        chance = binom.pmf(fail_c, test.sizes[0], p_c) * binom.pmf(fail_b, test.sizes[1], p_b)
        sums += chance * np.exp(np.array([after.log_harm()[0], after.log_no_worse()[0]]) - before)
    return float(sums[0]), float(sums[1])


@given(histories(), CHANCE, CHANCE)
def test_harm_can_not_be_expected_to_grow_where_the_new_release_is_no_worse(
    test: RateTest, one: float, other: float
) -> None:
    p_c, p_b = sorted((one, other))
    assert expected_growth(test, p_c, p_b)[0] <= 1 + 1e-9


@given(histories(), CHANCE, st.floats(0, 1))
def test_no_worse_can_not_be_expected_to_grow_where_the_new_release_is_worse_by_the_margin(
    test: RateTest, base: float, more: float
) -> None:
    p_b = base * (1 - test.margin)
    p_c = p_b + test.margin + more * (1 - p_b - test.margin)
    assert expected_growth(test, min(p_c, 1.0), p_b)[1] <= 1 + 1e-9


@given(SIZES, CHANCE)
def test_alternatives_of_harm_keep_the_pooled_rate(sizes: tuple[int, int], pooled: float) -> None:
    worse, base = around(np.array([pooled]), sizes)
    np.testing.assert_allclose((sizes[0] * worse + sizes[1] * base) / sum(sizes), pooled, rtol=1e-9)
    np.testing.assert_allclose(
        np.log(worse / (1 - worse)) - np.log(base / (1 - base)), LOG_ODDS_RATIOS, rtol=1e-5, atol=1e-7
    )


@given(SIZES, CHANCE, CHANCE, MARGIN)
def test_the_projection_is_the_nearest_point_of_the_null(
    sizes: tuple[int, int], c: float, b: float, margin: float
) -> None:
    if c - b >= margin:
        c, b = b, c

    def divergence(t: float) -> float:
        pairs = ((sizes[0], c, t + margin), (sizes[1], b, t))
        return sum(k * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))) for k, p, q in pairs)

    found = float(nearest_worse(np.array([c]), np.array([b]), sizes, margin)[0])
    best = minimize_scalar(divergence, bounds=(1e-12, 1 - margin - 1e-12), method="bounded", options={"xatol": 1e-12})
    assert divergence(found) <= best.fun + 1e-9


@given(st.integers(0, 1000), SIZES)
def test_streams_that_advance_in_step_are_as_each_alone(seed: int, sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    c, b = rng.binomial(sizes[0], 0.1, (2, 20)), rng.binomial(sizes[1], 0.1, (2, 20))
    harm, no_worse = RateTest(sizes, 0.05, runs=2).paths(c, b)
    for run in range(2):
        alone = RateTest(sizes, 0.05)
        for block in range(20):
            alone.advance(c[run : run + 1, block : block + 1], b[run : run + 1, block : block + 1])
            assert alone.log_harm()[0] == harm[run, block]
            assert alone.log_no_worse()[0] == no_worse[run, block]


@given(st.floats(0.001, 0.999))
def test_blocks_are_as_unequal_as_the_split(split: float) -> None:
    c, b = block_sizes(split)
    assert c >= 1
    assert b >= 1
    if 0.05 <= split <= 0.95:
        assert abs(c / (c + b) - split) <= 0.025
        assert c + b <= 20


def test_blocks_of_common_splits() -> None:
    found = {split: block_sizes(split) for split in (0.01, 0.05, 0.1, 0.25, 0.3, 0.5, 0.75, 0.9)}
    assert found == {
        0.01: (1, 99),
        0.05: (1, 19),
        0.1: (1, 9),
        0.25: (1, 3),
        0.3: (3, 7),
        0.5: (1, 1),
        0.75: (3, 1),
        0.9: (9, 1),
    }
