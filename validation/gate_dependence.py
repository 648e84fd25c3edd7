"""False rollbacks and detections where outcomes of one arm hang together, against the same gates without widening.

Streams are half an hour of a stage of 25 % with 20 users a second and failures of 4 %, judged by the gates' own code
with a look every 30 s at the whole 5 %. Both arms are equally good on average; `worse` adds a true regression.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import norm

from rollcast.planner.gates.outcomes import Outcomes, Verdict
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates
from validation.gate_streams import Floats
from validation.gates import ALPHA, table, upper_bound

STAGE_S, PER_S, SPLIT, RATE, REPLICAS, LOOK_S = 1800, 20, 0.25, 0.04, 8, 30
Rates = Callable[[np.random.Generator, Floats, Floats, Floats], Floats]


@dataclass(frozen=True, slots=True)
class Adversity:
    """A stream: each request's chance of failure, from (rng, time_s, candidate, replica); or correlated failures."""

    name: str
    rates: Rates
    correlation: float = 0.0  # of the candidate's successive outcomes, on the normal scale


def _level(rng: np.random.Generator, time_s: Floats, candidate: Floats, replica: Floats) -> Floats:
    return np.full(len(time_s), RATE)


def _autoregressive(step_s: float, correlation: float, deviation: float) -> Rates:
    """The candidate's log odds swing: an autoregression with a step so long."""

    def rates(rng: np.random.Generator, time_s: Floats, candidate: Floats, replica: Floats) -> Floats:
        steps = int(STAGE_S / step_s) + 1
        swing = deviation * autoregression(rng, steps, correlation)
        centre = _centred(deviation)
        own = 1 / (1 + np.exp(-(centre + swing[(time_s / step_s).astype(int)])))
        return np.where(candidate, own, RATE)

    return rates


def _centred(deviation: float) -> float:
    """The log odds around which swings of this deviation leave the mean rate as it is."""
    z = norm.ppf((np.arange(2000) + 0.5) / 2000) * deviation
    low, high = -12.0, 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean(1 / (1 + np.exp(-(middle + z)))) < RATE else (low, middle)
    return (low + high) / 2


def autoregression(rng: np.random.Generator, n: int, correlation: float) -> Floats:
    """[n] of a first-order autoregression with variance one."""
    noise, found, scale = rng.standard_normal(n), np.empty(n), math.sqrt(1 - correlation**2)
    found[0] = noise[0]
    for at in range(1, n):
        found[at] = correlation * found[at - 1] + scale * noise[at]
    return found


def _bad_replica(rng: np.random.Generator, time_s: Floats, candidate: Floats, replica: Floats) -> Floats:
    since = rng.uniform(0, STAGE_S - 60)
    bad = candidate.astype(bool) & (replica == 3) & (time_s >= since) & (time_s < since + 60)
    return np.where(bad, 1.0, RATE)


def _bursts(rng: np.random.Generator, time_s: Floats, candidate: Floats, replica: Floats) -> Floats:
    """Either arm has bursts of its own: of three seconds, about one a minute, in which every second request fails."""
    found = np.full(len(time_s), RATE)
    for arm in (0, 1):
        starts = np.cumsum(rng.exponential(60, STAGE_S // 20))
        at = np.searchsorted(starts, time_s) - 1
        burst = (candidate == arm) & (at >= 0) & (time_s - starts[np.maximum(at, 0)] < 3)
        found[burst] = 0.5
    return found


def _day(rng: np.random.Generator, time_s: Floats, candidate: Floats, replica: Floats) -> Floats:
    return RATE * (1 + 0.9 * np.sin(2 * math.pi * time_s / STAGE_S))


def _step(rng: np.random.Generator, time_s: Floats, candidate: Floats, replica: Floats) -> Floats:
    return np.where(time_s > STAGE_S / 2, 3 * RATE, RATE)


ADVERSITIES = (
    Adversity("independent", _level),
    Adversity("successive outcomes of one arm, correlation 0.5", _level, 0.5),
    Adversity("successive outcomes of one arm, correlation 0.9", _level, 0.9),
    Adversity("one arm's rate swings, steps of 10 s, correlation 0.9", _autoregressive(10, 0.9, 0.3)),
    Adversity("one arm's rate swings, steps of 60 s, correlation 0.5", _autoregressive(60, 0.5, 0.3)),
    Adversity("one arm's rate swings, steps of 60 s, correlation 0.9", _autoregressive(60, 0.9, 0.3)),
    Adversity("one of 8 replicas bad for 60 s", _bad_replica),
    Adversity("bursts of 3 s in either arm", _bursts),
    Adversity("a day's curve in both arms", _day),
    Adversity("a step in both arms", _step),
)
JUDGED: dict[str, tuple[dict[str, Any], bool, bool]] = {  # name -> spec, replicas named, widened
    "not widened": ({"unit": "request"}, False, False),
    "by default": ({"unit": "request"}, False, True),
    "replicas named": ({"unit": "request"}, True, True),
    "cluster: minute": ({"unit": "request", "cluster": "minute"}, False, True),
}


def stream(adversity: Adversity, rng: np.random.Generator, worse: float = 0.0) -> Outcomes:
    """One stage's requests, each of a user of its own."""
    n = rng.poisson(STAGE_S * PER_S)
    time_s, candidate = np.sort(rng.uniform(0, STAGE_S, n)), rng.random(n) < SPLIT
    replica = rng.integers(0, REPLICAS, n)
    rates = adversity.rates(rng, time_s, candidate.astype(float), replica.astype(float))
    rates = np.minimum(rates + np.where(candidate, worse, 0.0), 1.0)
    luck = rng.standard_normal(n)
    if adversity.correlation:
        luck[candidate] = autoregression(rng, int(candidate.sum()), adversity.correlation)
    failed = (luck > norm.isf(rates)).astype(np.float64)
    names = tuple(f"{arm}-{number}" for arm in ("new", "old") for number in range(REPLICAS))
    place = replica + np.where(candidate, 0, REPLICAS)
    return Outcomes(
        time_s, rng.integers(0, 2**63, n).astype(np.uint64), candidate, {"error": failed}, replica=place, replicas=names
    )


def minutes_to_rollback(outcomes: Outcomes, spec: GateSpec, widened: bool = True) -> float:
    """Minutes until the gate proves harm at some look; infinite where it does not."""
    stage = StageGates.start([spec], alpha=ALPHA, split=SPLIT, started_s=0.0)
    gate, done = stage.gates[0], 0
    if not widened:
        gate.dispersion.widening = lambda spread=None: 1.0  # type: ignore[method-assign]
    for now_s in range(LOOK_S, STAGE_S + 1, LOOK_S):
        upto = int(np.searchsorted(outcomes.time_s, now_s))
        stage.observe(outcomes.rows(slice(done, upto)))
        done = upto
        if gate.look(float(now_s)).verdict is Verdict.ROLL_BACK:
            return now_s / 60
    return math.inf


def judged(number: int, seed: int, worse: float) -> list[float]:
    """Minutes until the rollback under each of `JUDGED` on one stream of the adversity of that number."""
    outcomes = stream(ADVERSITIES[number], np.random.default_rng([41, number, seed]), worse)
    unnamed = Outcomes(outcomes.time_s, outcomes.unit, outcomes.candidate, outcomes.values)
    specs = [GateSpec(metric="error_rate", margin=0.001, **spec) for spec, _, _ in JUDGED.values()]
    return [
        minutes_to_rollback(outcomes if named else unnamed, spec, widened)
        for spec, (_, named, widened) in zip(specs, JUDGED.values(), strict=True)
    ]


def results(runs: int, number: int, worse: float = 0.0) -> Floats:
    """[runs, judged] minutes until the rollback, of the adversity of that number."""
    return np.array(Parallel(n_jobs=-1)(delayed(judged)(number, seed, worse) for seed in range(runs)))


def section(scale: float) -> str:
    """The page's part on outcomes that hang together."""
    runs, few = max(20, int(200 * scale)), max(20, int(60 * scale))
    rows = []
    for number, adversity in enumerate(ADVERSITIES):
        found, name = results(runs, number), adversity.name
        wrong = np.isfinite(found).sum(axis=0)
        rows.append([name, *(f"{100 * n / runs:.2f} % ({100 * upper_bound(int(n), runs):.2f} %)" for n in wrong)])
    caught = []
    for worse in (0.01, 0.02, 0.04):
        found = results(few, 0, worse)
        minutes = [f"{100 * np.isfinite(column).mean():.0f} %, {np.median(column):.1f} min" for column in found.T]
        caught.append([f"{100 * worse:g} points", *minutes])
    return f"""## Outcomes that hang together

{runs:,} stages of each kind, half an hour of 25 % with {PER_S} requests a second, one gate with the whole 5 %,
a look every {LOOK_S} s; both arms are equally good on average, and fail in {100 * RATE:g} % of requests. A swing's
deviation is 0.3 on the scale of log odds (a third more or less). False rollbacks, and the upper 95 % bound:

{table(["stream", *JUDGED], rows)}

What it costs where outcomes are independent: a true regression within the half hour, {few:,} stages each,
the share that is caught and the median of minutes:

{table(["regression", *JUDGED], caught)}

Noise that is slower than an eighth of the stage looks like harm: the row of 60 s and 0.9 has a memory of twenty minutes
in thirty. What is known to be that slow takes a longer bake.
"""
