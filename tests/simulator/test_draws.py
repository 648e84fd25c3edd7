"""Random numbers belong to (seed, request, component, purpose)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rollcast.simulator.base.draws import Purpose, normal_quantile, quantile, uniform, uniforms
from rollcast.simulator.stations.distributions import TABLE_POINTS, Distribution

_NAMES = st.integers(0, 2**62)


@given(_NAMES, st.integers(0, 2**40), _NAMES, st.sampled_from(Purpose))
def test_a_draw_depends_on_its_names_alone(seed: int, request: int, component: int, purpose: Purpose) -> None:
    alone = uniform(seed, request, component, purpose)
    assert 0.0 < alone < 1.0
    assert alone == uniforms(seed, request - min(request, 3), 8, component, purpose)[min(request, 3)]


@given(_NAMES, _NAMES)
def test_draws_of_many_requests_are_uniform(seed: int, component: int) -> None:
    drawn = uniforms(seed, 0, 4000, component, Purpose.SERVICE)
    assert stats.kstest(drawn, "uniform").pvalue > 1e-6


@given(_NAMES)
def test_neighbouring_requests_components_and_purposes_are_independent(seed: int) -> None:
    drawn = np.array([uniforms(seed, 0, 3000, c, p) for c in range(4) for p in (1, 2)])
    correlation = np.corrcoef(np.vstack([drawn[:, 1:], drawn[:, :-1]]))
    assert np.abs(correlation - np.eye(len(correlation))).max() < 0.12


@given(st.floats(1e-15, 1 - 1e-15))
def test_the_normal_quantile_is_that_of_the_normal_distribution(p: float) -> None:
    assert normal_quantile(p) == pytest.approx(float(stats.norm.ppf(p)), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    "distribution",
    [
        {"distribution": "exponential", "mean": 0.2},
        {"distribution": "lognormal", "mean": 0.2, "p95": 0.5},
        {"distribution": "lognormal", "mean": 0.2, "cv": 1.5},
        {"distribution": "uniform", "low": 0.1, "high": 0.3},
        {"distribution": "empirical", "quantiles": [0.1, 0.2, 0.2, 0.9]},
    ],
)
def test_draws_of_a_distribution_have_its_mean(distribution: dict[str, object]) -> None:
    encoded = Distribution.model_validate(distribution).encode()
    values = [quantile(encoded.shape, encoded.a, encoded.b, encoded.table, u) for u in uniforms(3, 0, 40_000, 1, 1)]
    assert len(encoded.table) == TABLE_POINTS
    assert np.mean(values) == pytest.approx(encoded.mean, rel=0.03)


def test_a_lognormal_has_the_p95_that_was_declared() -> None:
    encoded = Distribution.model_validate({"distribution": "lognormal", "mean": 0.2, "p95": 0.5}).encode()
    assert quantile(encoded.shape, encoded.a, encoded.b, encoded.table, 0.95) == pytest.approx(0.5)
