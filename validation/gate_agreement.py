"""The gates' statistics beside published implementations: scipy, and confseq where it is installed.

confseq (https://pypi.org/project/confseq/, by authors of the papers) has no wheels and its source package does not
build as it is: `validation/install-confseq.sh` builds it with today's pybind11 and the Boost headers from PyPI.
"""

from __future__ import annotations

import importlib
import math
from types import ModuleType

import numpy as np
from scipy.special import betaln
from scipy.stats import beta, binomtest

from rollcast.planner.gates.binomial import count_bounds, log_mixture, rate_interval
from rollcast.planner.gates.means import BoundedMean
from rollcast.planner.gates.quantiles import QuantileTest
from validation.gate_streams import Floats
from validation.gates import table


def confseq(module: str) -> ModuleType | None:
    """A module of confseq, or None. Release 0.0.11 asks numpy for a name that numpy 2 has dropped."""
    if not hasattr(np, "float_"):
        np.float_ = np.float64  # type: ignore[attr-defined]
    try:
        return importlib.import_module(f"confseq.{module}")
    except ImportError:
        return None


Row = tuple[str, str, str, str]
COUNTS = [(0, 20), (3, 100), (20, 1000), (77, 1000), (1500, 5000), (200, 20_000)]


def with_scipy() -> list[Row]:
    """Comparisons that need scipy alone."""
    mixture = max(
        abs(log_mixture(k, n, p, 0.5, 0.5) - _mixture(k, n, p)) for k, n in COUNTS for p in (0.01, 0.05, 0.3, 0.7)
    )
    inside, wider = True, []
    for k, n in COUNTS:
        low, high = rate_interval(k, n, 0.05)
        fixed = binomtest(k, n).proportion_ci(0.95, method="exact")
        inside &= low <= fixed.low and high >= fixed.high
        wider.append((high - low) / (fixed.high - fixed.low))
    return [
        ("beta-binomial mixture", "scipy.special.betaln", "largest difference of the logarithm", f"{mixture:.1e}"),
        (
            "any-time interval of a rate", "scipy.stats.binomtest (Clopper-Pearson, one look)",
            "contains the fixed-sample interval; times its width",
            f"{'always' if inside else 'NOT always'}; {min(wider):.2f} to {max(wider):.2f}",
        ),
        ("order-statistic bounds of a quantile", "scipy.stats.binomtest", *_ranks()),
    ]  # fmt: skip


def _mixture(k: int, n: int, p: float) -> float:
    return float(betaln(0.5 + k, 0.5 + n - k) - betaln(0.5, 0.5) - k * math.log(p) - (n - k) * math.log1p(-p))


def _ranks() -> tuple[str, str]:
    inside, wider = True, []
    for n in (200, 2000, 20_000):
        for q in (0.5, 0.95):
            least, most = count_bounds(n, q, 0.05)
            fixed = [count for count in range(n + 1) if binomtest(count, n, q).pvalue > 0.05] if n <= 2000 else None
            if fixed:
                inside &= least <= fixed[0] and most >= fixed[-1]
                wider.append((most - least) / (fixed[-1] - fixed[0]))
    text = f"{'always' if inside else 'NOT always'}; {min(wider):.2f} to {max(wider):.2f}"
    return "contains the counts that a binomial test of one look accepts; times their range", text


def with_confseq() -> list[Row]:
    """Comparisons with confseq; none where it is not installed."""
    boundaries, predmix, quantiles = confseq("boundaries"), confseq("predmix"), confseq("quantiles")
    if boundaries is None or predmix is None or quantiles is None:
        return []
    return [_empirical_bernstein(predmix), _beta_binomial(boundaries), _quantile_test(quantiles)]


def _empirical_bernstein(predmix: ModuleType) -> Row:
    """confseq centres a deviation on the plain running mean, the paper on the regularized one, as here: given it."""
    rng, worst = np.random.default_rng(41), 0.0

    def lower(values: Floats) -> Floats:
        count = np.arange(len(values))
        before = (0.5 + np.concatenate([[0.0], values.cumsum()[:-1]])) / (count + 1)
        found: Floats = predmix.predmix_lower_cs(
            values,
            v=(values - before) ** 2,
            lambdas_fn=lambda x: predmix.lambda_predmix_eb(x, truncation=0.5, alpha=0.025),
            psi_fn=lambda stake: -np.log1p(-stake) - stake,
            alpha=0.025,
        )
        return found

    for values in (rng.random(2000), (rng.random(2000) < 0.05).astype(float), rng.beta(4, 1, 2000)):
        low_theirs, high_theirs = lower(values), 1 - lower(1 - values)
        arm = BoundedMean(0.05)
        for row in range(len(values)):
            arm.observe(values[row : row + 1])
            low, high = arm.interval()
            worst = max(worst, abs(low - low_theirs[row]), abs(high - high_theirs[row]))
    what = "largest difference of a bound, every look at three streams of 2,000"
    return ("interval of a mean (Waudby-Smith and Ramdas)", "confseq.predmix", what, f"{worst:.1e}")


def _beta_binomial(boundaries: ModuleType) -> Row:
    """confseq's prior is Beta(r / (1 - p), r / p), with r from the count at which the bound shall be tightest."""
    worst = 0.0
    for n, p in ((100, 0.5), (1000, 0.1), (5000, 0.02)):
        spread = p * (1 - p)
        tightest = 2 * math.log(1 / 0.05)
        r = 500 * spread / (tightest + math.log(1 + tightest)) - spread
        for k in (int(n * p * 0.5), int(n * p), int(n * p * 1.6)):
            theirs = boundaries.beta_binomial_log_mixture(k - n * p, n * spread, 500 * spread, p, 1 - p, 0.05, False)
            worst = max(worst, abs(float(theirs) - log_mixture(k, n, p, r / (1 - p), r / p)))
    what = "largest difference of the logarithm, with confseq's prior"
    return ("beta-binomial mixture (Howard and others)", "confseq.boundaries", what, f"{worst:.1e}")


def _quantile_test(quantiles: ModuleType) -> Row:
    """Requests until each test of two quantiles proves a difference, on the same streams."""
    rng, ours, theirs = np.random.default_rng(42), [], []
    for _ in range(20):
        candidate = np.arange(4000) % 2 == 0
        values = rng.lognormal(0, 0.4, 4000) * np.where(candidate, 1.25, 1.0)
        found: dict[str, float] = {}
        for n in range(100, 4001, 50):
            if "ours" not in found:
                test = QuantileTest(0.9, 0.5, 0.1)
                test.observe(candidate[:n], values[:n])
                if test.log_harm() >= -math.log(0.025):
                    found["ours"] = n
            if "theirs" not in found:
                own = candidate[:n]
                p = quantiles.quantile_ab_p_value(values[:n][own], values[:n][~own], 0.9, 250)
                if p <= 0.05:
                    found["theirs"] = n
        ours.append(found.get("ours", math.inf))
        theirs.append(found.get("theirs", math.inf))
    what = "median requests to prove 25 % slower at the 90 % quantile, one-sided 0.025 and two-sided 0.05"
    text = f"{np.median(ours):,.0f} here, {np.median(theirs):,.0f} there"
    return ("test of two quantiles (Howard and Ramdas)", "confseq.quantiles", what, text)


def coverage(runs: int) -> list[Row]:
    """Any-time coverage of the intervals, where nothing published can be run: misses at any of many looks."""
    rng, missed = np.random.default_rng(43), 0
    for _ in range(runs):
        total = 0
        for n, hit in enumerate(rng.random(1000) < 0.05, start=1):
            total += int(hit)
            if n % 10 == 0:
                low, high = rate_interval(total, n, 0.05)
                if not low <= 0.05 <= high:
                    missed += 1
                    break
    bound = float(beta.ppf(0.95, missed + 1, runs - missed))
    text = f"{missed} of {runs}; upper 95 % bound {100 * bound:.1f} %"
    return [("any-time interval of a rate", "its own claim of 5 %", "misses at any of 100 looks", text)]


def section(scale: float) -> str:
    """The agreement's part of the page."""
    rows = [*with_scipy(), *with_confseq(), *coverage(max(20, int(400 * scale)))]
    without = (
        ""
        if confseq("predmix")
        else "\nconfseq was not installed for this run; `validation/install-confseq.sh` does.\n"
    )
    return f"""## Agreement with published implementations

{table(("here", "published", "compared", "result"), rows)}
{without}
The e-process of two rates has no implementation on PyPI that could be run beside it. What it rests on is tested
exactly: `tests/gates/test_rates.py` sums the expectation of the next block over all its outcomes, for any state and any
pair of rates of the null, and compares the projection with `scipy.optimize`.
"""
