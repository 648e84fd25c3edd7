"""The best fixed-sample tests: how many requests they need when the effect is known in advance.

One-sided, at the given alpha and power. For rates the least of three textbook sample sizes counts: Wald's with
unpooled variance, the score test's with pooled variance under the null, and the likelihood ratio's from its
noncentrality; see Lachin 1981 (https://doi.org/10.1016/0197-2456(81)90001-5).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import lognorm, norm

from validation.gate_streams import QUANTILE, Floats, World


def quantiles(alpha: float, power: float) -> tuple[float, float]:
    """Normal quantiles of the level and of the power."""
    return float(norm.isf(alpha)), float(norm.ppf(power))


def rate_requests(old: float, new: float, split: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Requests of both arms together to distinguish two rates."""
    za, zb = quantiles(alpha, power)
    pooled = split * new + (1 - split) * old
    apart = new * (1 - new) / split + old * (1 - old) / (1 - split)
    equal = pooled * (1 - pooled) * (1 / split + 1 / (1 - split))
    divergence = split * _divergence(new, pooled) + (1 - split) * _divergence(old, pooled)
    wald = (za + zb) ** 2 * apart / (new - old) ** 2
    score = (za * math.sqrt(equal) + zb * math.sqrt(apart)) ** 2 / (new - old) ** 2
    return min(wald, score, (za + zb) ** 2 / (2 * divergence))


def mean_requests(old: Floats, new: Floats, split: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Requests of both arms together for a z-test of two means whose spreads are known, from large samples."""
    za, zb = quantiles(alpha, power)
    variance = float(np.var(new)) / split + float(np.var(old)) / (1 - split)
    return (za + zb) ** 2 * variance / float(np.mean(new) - np.mean(old)) ** 2


def quantile_requests(old: World, new: World, split: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Requests of both arms together for a z-test of two sample quantiles whose densities are known."""
    za, zb = quantiles(alpha, power)
    density = [lognorm.pdf(world.quantile_s, 0.4, scale=world.slower) for world in (new, old)]
    spread = QUANTILE * (1 - QUANTILE)
    variance = spread * (1 / (split * density[0] ** 2) + 1 / ((1 - split) * density[1] ** 2))
    return (za + zb) ** 2 * variance / (new.quantile_s - old.quantile_s) ** 2


def _divergence(p: float, q: float) -> float:
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def z_test_power(old: float, new: float, split: float, requests: float, rng: np.random.Generator) -> float:
    """Simulated power at alpha 0.05 of the pooled z-test of two rates with so many requests."""
    n_c, n_b = round(requests * split), round(requests * (1 - split))
    c, b = rng.binomial(n_c, new, 100_000), rng.binomial(n_b, old, 100_000)
    pooled = (c + b) / (n_c + n_b)
    error = np.sqrt(np.maximum(pooled * (1 - pooled), 1e-12) * (1 / n_c + 1 / n_b))
    return float(np.mean((c / n_c - b / n_b) / error > norm.isf(0.05)))
