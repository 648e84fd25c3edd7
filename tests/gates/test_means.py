"""The e-processes of two means are test supermartingales for any bounded outcomes; intervals cover at all times."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from rollcast.planner.gates.means import BoundedMean, MeanTest

UNIT = st.floats(-1.0, 1.0)


@st.composite
def histories(draw: st.DrawFn) -> MeanTest:
    """A test after some blocks of any differences."""
    test = MeanTest(draw(st.floats(0.001, 0.9)))
    test.advance(np.array([draw(st.lists(UNIT, max_size=60))], np.float64).reshape(1, -1))
    return test


def growth(test: MeanTest, difference: float) -> np.ndarray:
    after = MeanTest.from_json(test.to_json())
    after.advance(np.array([[difference]]))
    return np.exp(
        [(after.log_harm() - test.log_harm())[0], (after.log_no_worse() - test.log_no_worse())[0]]  # a factor each
    )


@given(histories(), UNIT, UNIT, st.floats(0, 1))
def test_harm_can_not_be_expected_to_grow_where_the_mean_difference_is_not_above_zero(
    test: MeanTest, low: float, high: float, tilt: float
) -> None:
    low, high = -abs(low), abs(high)
    assume(high > 0 > low)
    chance = tilt * -low / (high - low)  # of the high one; the mean is at most zero
    assert chance * growth(test, high)[0] + (1 - chance) * growth(test, low)[0] <= 1 + 1e-9


@given(histories(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_no_worse_can_not_be_expected_to_grow_where_the_mean_difference_is_the_margin_or_more(
    test: MeanTest, below: float, above: float, tilt: float
) -> None:
    margin = float(test.margin[0, 0])
    low, high = margin - below * (1 + margin), margin + above * (1 - margin)
    assume(high - low >= 1e-9)
    least = (margin - low) / (high - low)
    chance = least + tilt * (1 - least)
    assert chance * growth(test, high)[1] + (1 - chance) * growth(test, low)[1] <= 1 + 1e-9


@given(histories(), UNIT)
def test_no_block_can_take_everything(test: MeanTest, difference: float) -> None:
    assert (growth(test, difference) > 0).all()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.data())
def test_an_interval_does_not_depend_on_batches(values: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(values)))
    whole, parts = BoundedMean(0.05), BoundedMean(0.05)
    whole.observe(np.array(values))
    parts.observe(np.array(values[:cut]))
    parts.observe(np.array(values[cut:]))
    assert whole.to_json() == parts.to_json()
    low, high = whole.interval()
    assert 0 <= low <= high <= 1


def test_intervals_cover_the_mean_at_all_times() -> None:
    rng = np.random.default_rng(5)
    missed = 0
    for _ in range(150):
        arm = BoundedMean(0.1)
        for value in (rng.random(400) < 0.1).astype(np.float64):
            arm.observe(np.array([value]))
            low, high = arm.interval()
            if not low <= 0.1 <= high:
                missed += 1
                break
    assert missed / 150 <= 0.1


def test_streams_that_advance_in_step_are_as_each_alone() -> None:
    differences = np.random.default_rng(2).uniform(-1, 1, (3, 70))
    harm, no_worse = MeanTest(0.1, runs=3).paths(differences)
    for run in range(3):
        alone = MeanTest(0.1)
        for block in range(70):
            alone.advance(differences[run : run + 1, block : block + 1])
            assert alone.log_harm()[0] == harm[run, block]
            assert alone.log_no_worse()[0] == no_worse[run, block]
    assert math.isfinite(float(harm.sum()))
