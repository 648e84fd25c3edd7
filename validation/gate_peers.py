"""Kayenta's and Flagger's rules beside the gates, on the same simulated streams.

Kayenta: the default judge of Spinnaker's canary analysis as its documentation and its source (version of April 2025)
describe it: https://spinnaker.io/docs/guides/user/canary/judge/ . Each metric is a series of points, one a minute. The
points of canary and baseline are compared by the Mann-Whitney interval of the location shift at 98 % confidence; a
metric is High where the interval's lower end exceeds a quarter of the absolute Hodges-Lehmann estimate. Points outside
the wider of the 1 % to 99 % range and three interquartile ranges beyond the quartiles are left out before. The score is
the share of metrics that pass. As https://spinnaker.io/docs/guides/user/canary/best-practices/ advises: three runs of
one hour, against a baseline group of the canary's size. A score below 75 at any run, or below 95 at the last, fails.

Flagger: https://docs.flagger.app/usage/deployment-strategies and https://docs.flagger.app/usage/metrics . Every minute
each metric of the canary is compared with a fixed limit; a minute in which any is beyond it is a failed check; five
failed checks roll back, and failed checks are never forgotten. Limits are set in two ways: one margin from what the
baseline does, and so far out that a minute of the baseline crosses each of them once in five hundred.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import norm, rankdata

from rollcast.planner.gates.outcomes import Outcomes, Verdict
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates
from validation.gate_streams import Floats, World, draw
from validation.gates import table

MINUTES, A_MINUTE, SPLIT = 180, 240, 0.25
BASE = World()
GATES = (
    GateSpec(metric="violation_rate", margin=0.02),
    GateSpec(metric="latency_p95_s", margin=0.3),
    GateSpec(metric="satisfaction", margin=0.05),
)


@dataclass(frozen=True, slots=True)
class Judged:
    """How a rule ended: passed, rolled_back or held; minutes until then."""

    ended: str
    minutes: float


# ---- the rules --------------------------------------------------------------------------------


def per_minute(stream: Outcomes, rows: np.ndarray) -> dict[str, Floats]:
    """The three metrics of some requests as points, one a minute; NaN for a minute without requests."""
    minute = (stream.time_s[rows] // 60).astype(int)  # rows are in order of time
    points = {spec.metric: np.full(MINUTES, np.nan) for spec in GATES}
    starts = np.searchsorted(minute, np.arange(MINUTES + 1))
    for at in np.flatnonzero(np.diff(starts)):
        own = rows[starts[at] : starts[at + 1]]
        points["violation_rate"][at] = stream.values["violation"][own].mean()
        points["latency_p95_s"][at] = np.quantile(stream.values["latency_s"][own], 0.95)
        points["satisfaction"][at] = stream.values["satisfaction"][own].mean()
    return points


def without_outliers(points: Floats) -> Floats:
    """Kayenta's preprocessing: missing points and far outliers are left out."""
    known = points[~np.isnan(points)]
    if not len(known):
        return known
    q1, low, high, q3 = np.percentile(known, [25, 1, 99, 75])
    reach = 3.0 * (q3 - q1)
    kept: Floats = known[(known >= min(low, q1 - reach)) & (known <= max(high, q3 + reach))]
    return kept


def rank_statistic(shift: float, x: Floats, y: Floats) -> float:
    """Standardized Mann-Whitney statistic of x - shift against y, with continuity and tie corrections."""
    n, m = len(x), len(y)
    ranks = rankdata(np.concatenate([x - shift, y]))
    centred = ranks[:n].sum() - n * (n + 1) / 2 - n * m / 2
    ties = np.unique(ranks, return_counts=True)[1].astype(np.float64)
    variance = n * m / 12 * ((n + m + 1) - (ties**3 - ties).sum() / ((n + m) * (n + m - 1)))
    return float((centred - np.sign(centred) * 0.5) / math.sqrt(variance)) if variance > 0 else 0.0


def shift_at(level: float, x: Floats, y: Floats) -> float:
    """The shift at which the statistic falls through a level."""
    low, high = float(x.min() - y.max()), float(x.max() - y.min())
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if rank_statistic(middle, x, y) > level else (low, middle)
    return (low + high) / 2


def is_high(canary: Floats, baseline: Floats, confidence: float = 0.98, tolerance: float = 0.25) -> bool:
    """Whether Kayenta's judge finds the canary High."""
    x, y = without_outliers(canary), without_outliers(baseline)
    if not len(x) or not len(y) or len(np.unique(np.concatenate([x, y]))) == 1:
        return False
    level = float(norm.isf((1 - confidence) / 2))
    if rank_statistic(0.0, x, y) <= level:
        return False  # the interval's lower end is not above zero
    return shift_at(level, x, y) > tolerance * abs(shift_at(0.0, x, y))


def kayenta(canary: dict[str, Floats], baseline: dict[str, Floats]) -> Judged:
    """Three runs of an hour each."""
    for run in range(3):
        hour = slice(60 * run, 60 * (run + 1))
        high = 0
        for spec in GATES:
            sign = -1.0 if spec.better == "higher" else 1.0
            high += is_high(sign * canary[spec.metric][hour], sign * baseline[spec.metric][hour])
        score = 100 * (len(GATES) - high) / len(GATES)
        if score < 75 or (run == 2 and score < 95):
            return Judged("rolled_back", 60.0 * (run + 1))
    return Judged("passed", float(MINUTES))


def flagger(canary: dict[str, Floats], limits: dict[str, float]) -> Judged:
    """A check a minute against fixed limits."""
    failed = 0
    for minute in range(MINUTES):
        failed += any(_beyond(spec, canary[spec.metric][minute], limits[spec.metric]) for spec in GATES)
        if failed >= 5:
            return Judged("rolled_back", minute + 1.0)
    return Judged("passed", float(MINUTES))


def _beyond(spec: GateSpec, value: float, limit: float) -> bool:
    return bool(value < limit if spec.better == "higher" else value > limit)


def a_margin_off() -> dict[str, float]:
    """What the baseline does, and a margin more."""
    satisfied = float(draw(np.random.default_rng(33), (1_000_000,), BASE)["satisfaction"].mean())
    return {
        "violation_rate": BASE.violation + GATES[0].margin,
        "latency_p95_s": BASE.quantile_s + GATES[1].margin,
        "satisfaction": satisfied - GATES[2].margin,
    }


def beyond_noise(once_in: int = 500) -> dict[str, float]:
    """What the canary's share of a minute of the baseline crosses once in so many minutes."""
    shape = (40_000, round(A_MINUTE * SPLIT))
    minutes = draw(np.random.default_rng(34), shape, BASE)
    return {
        "violation_rate": float(np.quantile(minutes["violation"].mean(axis=1), 1 - 1 / once_in)),
        "latency_p95_s": float(np.quantile(np.quantile(minutes["latency_s"], 0.95, axis=1), 1 - 1 / once_in)),
        "satisfaction": float(np.quantile(minutes["satisfaction"].mean(axis=1), 1 / once_in)),
    }


def rollcast(stream: Outcomes) -> Judged:
    """The gates of one stage with an error rate of 5 %, a look every thirty seconds."""
    stage = StageGates.start(GATES, alpha=0.05, split=SPLIT, started_s=0.0, min_sample=50)
    done = 0
    for look in range(2 * MINUTES):
        now_s = 30.0 * (look + 1)
        upto = int(np.searchsorted(stream.time_s, now_s))
        stage.observe(stream.rows(slice(done, upto)))
        done = upto
        verdict = stage.look(now_s).verdict
        if verdict is Verdict.ROLL_BACK:
            return Judged("rolled_back", now_s / 60)
        if verdict is Verdict.ADVANCE:
            return Judged("passed", now_s / 60)
    return Judged("held", float(MINUTES))


# ---- the streams ------------------------------------------------------------------------------


def stream_of(candidate: World, baseline: World, rng: np.random.Generator) -> Outcomes:
    """Three hours of a stage of 25 %, sixty new users a minute."""
    n = MINUTES * A_MINUTE
    arm = rng.random(n) < SPLIT
    new, old = draw(rng, (n,), candidate), draw(rng, (n,), baseline)
    values = {name: np.where(arm, new[name], old[name]) for name in new}
    time_s = np.sort(rng.uniform(0, 60.0 * MINUTES, n))
    return Outcomes(time_s, rng.integers(0, 2**63, n).astype(np.uint64), arm, values)


def with_incident(rng: np.random.Generator) -> Outcomes:
    """The same release twice, and half an hour in which something upstream makes both arms worse."""
    bad = replace(World(), violation=0.10, slower=1.3)
    usual, trouble = stream_of(World(), World(), rng), stream_of(bad, bad, rng)
    during = (usual.time_s >= 300) & (usual.time_s < 2100)
    values = {name: np.where(during, trouble.values[name], usual.values[name]) for name in usual.values}
    return Outcomes(usual.time_s, usual.unit, usual.candidate, values)


SCENARIOS: dict[str, tuple[bool | None, Callable[[np.random.Generator], Outcomes]]] = {
    "same release": (False, lambda rng: stream_of(BASE, BASE, rng)),
    "same release, incident upstream": (False, with_incident),
    "violations 2 % → 3 %, within the margin": (None, lambda rng: stream_of(replace(BASE, violation=0.03), BASE, rng)),
    "violations 2 % → 5 %": (True, lambda rng: stream_of(replace(BASE, violation=0.05), BASE, rng)),
    "latency x 1.2": (True, lambda rng: stream_of(replace(BASE, slower=1.2), BASE, rng)),
    "latency x 1.4": (True, lambda rng: stream_of(replace(BASE, slower=1.4), BASE, rng)),
    "satisfaction - 0.06": (True, lambda rng: stream_of(replace(BASE, unhappier=0.06), BASE, rng)),
}


RULES = ("rollcast", "Kayenta", "Flagger, limits a margin off", "Flagger, limits beyond the noise")


def one(scenario: str, seed: int, near: dict[str, float], far: dict[str, float]) -> list[Judged]:
    """Every rule on one stream."""
    rng = np.random.default_rng([31, list(SCENARIOS).index(scenario), seed])
    stream = SCENARIOS[scenario][1](rng)
    new, old = np.flatnonzero(stream.candidate), np.flatnonzero(~stream.candidate)
    group = np.sort(rng.choice(old, min(len(new), len(old)), replace=False))  # of the canary's size
    canary, baseline = per_minute(stream, new), per_minute(stream, group)
    return [rollcast(stream), kayenta(canary, baseline), flagger(canary, near), flagger(canary, far)]


def results(runs: int) -> dict[str, list[list[Judged]]]:
    """Scenario -> run -> what each rule found."""
    near, far = a_margin_off(), beyond_noise()
    return {
        name: Parallel(n_jobs=-1)(delayed(one)(name, seed, near, far) for seed in range(runs)) for name in SCENARIOS
    }


def _wrong(harmful: bool | None, back: int, passed: int, runs: int) -> str:
    if harmful is None:
        return "–"
    return f"{100 * passed / runs:.0f} % missed" if harmful else f"{100 * back / runs:.0f} % false alarms"


def section(scale: float) -> str:
    """The comparison's part of the page."""
    runs = max(10, int(200 * scale))
    found, rows = results(runs), []
    for scenario, (harmful, _) in SCENARIOS.items():
        for at, rule in enumerate(RULES):
            judged = [each[at] for each in found[scenario]]
            back = [each.minutes for each in judged if each.ended == "rolled_back"]
            passed = sum(each.ended == "passed" for each in judged)
            users = float(np.median([each.minutes * A_MINUTE * SPLIT for each in judged]))
            counts = (len(back), passed, runs - len(back) - passed)
            rows.append(
                [scenario if at == 0 else "", rule, *(f"{100 * count / runs:.0f} %" for count in counts),
                 f"{np.median(back):,.1f}" if back else "–", f"{users:,.0f}",
                 _wrong(harmful, len(back), passed, runs)]
            )  # fmt: skip
    head = ("stream", "rule", "rolled back", "passed", "held", "minutes to roll back", "users exposed", "wrong")
    return f"""## Kayenta's and Flagger's rules on the same streams

{runs:,} streams of each kind: three hours of a stage of {100 * SPLIT:g} % with {A_MINUTE} new users a minute, three
metrics (violation rate, 95 % latency, satisfaction). rollcast: margins of 2 points, 300 ms and 0.05, an error rate of
5 % for the stage, a look every thirty seconds; "held" means that neither harm nor no worse was proved. Kayenta: three
runs of an hour, a point a minute, as its best practices advise. Flagger: a check a minute, five failed checks roll
back; limits are either a margin from what the baseline does, or so far out that a good minute crosses each of them once
in five hundred. The incident upstream lasts from the fifth to the thirty-fifth minute and makes both arms worse. The
rules were written from the documentation and source that `validation/gate_peers.py` names; neither product was run.

{table(head, rows)}

Minutes and users are medians; users exposed are those that it served until the rule ended. Of the regressions,
violations 2 % → 3 % is within the margin of 2 points, so that both endings are right; all others are beyond a margin.

A limit on one arm can't separate a bad release from a bad hour. A limit near the baseline mostly sees the noise of a
minute; one beyond that noise misses what is smaller than the noise. Kayenta compares concurrent arms and so survives
the bad hour, but it needs its hour, does not add up the evidence of its runs, and has no stated error rate.
"""
