"""Time-uniform bounds on binomial counts and rates: the beta-binomial mixture.

Howard, Ramdas, McAuliffe and Sekhon 2021, https://arxiv.org/abs/1810.08240, section 3; for quantiles, Howard and Ramdas
2022, https://arxiv.org/abs/1906.09712, theorem 1 with this mixture as its boundary.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_lgamma = math.lgamma


def log_mixture(successes: float, n: int, p: float, a: float, b: float) -> float:
    """Log of the Beta(a, b) mixture of likelihood ratios against Bernoulli(p): a nonnegative martingale under p."""
    failures = n - successes
    if (successes > 0 and p <= 0) or (failures > 0 and p >= 1):
        return math.inf  # what can't happen has happened
    value = _lgamma(a + successes) + _lgamma(b + failures) - _lgamma(a + b + n)
    value -= _lgamma(a) + _lgamma(b) - _lgamma(a + b)
    if successes > 0:
        value -= successes * math.log(p)
    if failures > 0:
        value -= failures * math.log1p(-p)
    return value


def count_bounds(n: int, q: float, alpha: float) -> tuple[int, int]:
    """Least and greatest number of successes out of n that the mixture can't exclude for Bernoulli(q)."""
    limit = math.log(1 / alpha)
    a, b = 50 * q, 50 * (1 - q)
    low, high = 0, int(n * q)
    while low < high:  # smallest count in the acceptance interval
        middle = (low + high) // 2
        low, high = (low, middle) if log_mixture(middle, n, q, a, b) < limit else (middle + 1, high)
    least = low
    low, high = int(n * q), n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if log_mixture(middle, n, q, a, b) < limit else (low, middle - 1)
    return least, low


def rate_interval(successes: int, n: int, alpha: float) -> tuple[float, float]:
    """Confidence sequence for a rate: every p that the mixture can't exclude."""
    if n == 0:
        return 0.0, 1.0
    limit = math.log(1 / alpha)
    estimate = successes / n

    def excluded(p: float) -> bool:
        return log_mixture(successes, n, p, 0.5, 0.5) >= limit

    return _edge(estimate, 1e-12, excluded), _edge(estimate, 1 - 1e-12, excluded)


def _edge(inside: float, outside: float, excluded: Callable[[float], bool]) -> float:
    """Where exclusion begins between a rate that is not excluded and the end of the range."""
    if not excluded(outside):
        return round(outside)
    good = min(max(inside, 1e-12), 1 - 1e-12)
    bad = outside
    for _ in range(40):
        middle = (good + bad) / 2
        good, bad = (good, middle) if excluded(middle) else (middle, bad)
    return bad
