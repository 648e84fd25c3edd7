"""The gates' error rates and power: false rollbacks, false proofs, time to detect, against the best fixed sample."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import beta

from rollcast.planner.gates.growth import Baseline
from rollcast.planner.gates.outcomes import Outcomes, Verdict
from rollcast.planner.gates.power import detectable
from rollcast.planner.gates.rates import RateTest
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.stage import StageGates
from validation.gate_oracles import mean_requests, quantile_requests, rate_requests, z_test_power
from validation.gate_streams import (
    FIELDS,
    KINDS,
    MARGINS,
    QUANTILE,
    SLO_S,
    WORSE,
    Floats,
    QuantileStreams,
    World,
    blocks_of,
    draw,
    first_block,
    paths,
)

ALPHA = 0.05
SPLITS = (0.05, 0.25, 0.5)  # the stages of a simulated rollout
REQUESTS = 2000  # of each stage
_CHUNK = 125
_NAMES = {"rate": "rate", "slo": "SLO attainment", "mean": "bounded mean", "cost": "cost", "quantile": "95 % latency"}


def upper_bound(events: int, trials: int) -> float:
    """One-sided 95 % bound of Clopper and Pearson."""
    return float(beta.ppf(0.95, events + 1, trials - events)) if events < trials else 1.0


def harm_peaks(seed: int, runs: int, requests: int = REQUESTS) -> dict[str, Floats]:
    """Greatest log e-value of harm at any look: kind -> [runs, stages]. Both arms are the same release."""
    rng, lowest = np.random.default_rng([11, seed]), -math.log(ALPHA)
    peaks: dict[str, list[Floats]] = {kind: [] for kind in KINDS}
    for split in SPLITS:
        arms = blocks_of(rng, runs, requests, split, World(), World())
        for kind in KINDS[:-1]:
            peaks[kind].append(paths(kind, arms, MARGINS[kind])[0].max(axis=1))
        streams = QuantileStreams(arms, split, MARGINS["quantile"], harm=True)
        peaks["quantile"].append(streams.peaks([World().quantile_s], lowest))
    return {kind: np.stack(found, axis=1) for kind, found in peaks.items()}


def chunked(runs: int) -> list[tuple[int, int]]:
    """(seed, runs) of each piece of work."""
    return [(seed, min(_CHUNK, runs - start)) for seed, start in enumerate(range(0, runs, _CHUNK))]


def false_rollbacks(runs: int, requests: int = REQUESTS) -> dict[str, int]:
    """Rollouts that are rolled back although nothing changed: of each kind alone; of all kinds together; of all kinds
    where no test divides its error rate; and stages of 50 % with one gate that has the whole error rate."""
    parts = Parallel(n_jobs=-1)(delayed(harm_peaks)(seed, n, requests) for seed, n in chunked(runs))
    peaks = {kind: np.concatenate([part[kind] for part in parts]) for kind in KINDS}
    alone, together = -math.log(ALPHA / len(SPLITS)), -math.log(ALPHA / len(SPLITS) / len(KINDS))
    found = {kind: int((peaks[kind] >= alone).any(axis=1).sum()) for kind in KINDS}
    found["all"] = int(np.any([(peaks[kind] >= together).any(axis=1) for kind in KINDS], axis=0).sum())
    found["all, undivided"] = int(
        np.any([(peaks[kind] >= -math.log(ALPHA)).any(axis=1) for kind in KINDS], axis=0).sum()
    )
    for kind in KINDS:
        found[f"{kind}, one stage"] = int((peaks[kind][:, -1] >= -math.log(ALPHA)).sum())
    return found


def at_margin() -> dict[str, tuple[World, World, float]]:
    """Worlds whose true difference is exactly the margin: kind -> (candidate, baseline, margin)."""
    base = World()
    rng = np.random.default_rng(13)
    satisfied = [float(draw(rng, (2_000_000,), replace(base, unhappier=by))["satisfaction"].mean()) for by in (0, 0.05)]
    slow = replace(base, slower=1.15)
    return {
        "rate": (replace(base, violation=base.violation + MARGINS["rate"]), base, MARGINS["rate"]),
        "slo": (slow, base, slow.slo_missed - base.slo_missed),
        "mean": (replace(base, unhappier=0.05), base, satisfied[0] - satisfied[1]),
        "quantile": (slow, base, slow.quantile_s - base.quantile_s),
    }


def false_advances(runs: int, requests: int = REQUESTS) -> dict[str, int]:
    """Proofs of no worse than the margin, at any look, where the release is worse by exactly the margin."""
    worlds = at_margin()

    def work(seed: int, n: int) -> list[int]:
        rng, found = np.random.default_rng([14, seed]), []
        for kind, (candidate, baseline, margin) in worlds.items():
            arms = blocks_of(rng, n, requests, 0.5, candidate, baseline, (FIELDS[kind],))
            if kind == "quantile":
                streams = QuantileStreams(arms, 0.5, margin, harm=False)
                peaks = streams.peaks([baseline.quantile_s], -math.log(ALPHA))
            else:
                peaks = paths(kind, arms, margin)[1].max(axis=1)
            found.append(int((peaks >= -math.log(ALPHA)).sum()))
        return found

    parts = np.array(Parallel(n_jobs=-1)(delayed(work)(seed, n) for seed, n in chunked(runs)))
    return dict(zip(worlds, parts.sum(axis=0).tolist(), strict=True))


def detection(
    kind: str, candidate: World, baseline: World, split: float, requests: int, runs: int, margin: float | None = None
) -> Floats:
    """Requests of both arms until harm is proved at alpha 0.05, looking after each; infinite where it is not."""

    def work(seed: int, n: int) -> Floats:
        rng = np.random.default_rng([15, seed])
        arms = blocks_of(rng, n, requests, split, candidate, baseline, (FIELDS[kind],))
        if kind == "quantile":
            low, high = baseline.quantile_s, candidate.quantile_s
            streams = QuantileStreams(arms, split, MARGINS[kind], harm=True)
            return streams.first([low, (low + high) / 2, high], -math.log(ALPHA))
        path = paths(kind, arms, margin or MARGINS[kind])[0]
        return first_block(path, -math.log(ALPHA)) * sum(arms.sizes)

    chunk = max(1, min(_CHUNK, 400_000 // requests))
    pieces = [(seed, min(chunk, runs - start)) for seed, start in enumerate(range(0, runs, chunk))]
    return np.concatenate(Parallel(n_jobs=-1)(delayed(work)(seed, n) for seed, n in pieces))


def proof_of_no_worse(kind: str, margin: float, split: float, requests: int, runs: int) -> Floats:
    """Requests of both arms until no worse than the margin is proved where nothing changed."""
    rng = np.random.default_rng([16, KINDS.index(kind)])
    arms = blocks_of(rng, runs, requests, split, World(), World(), (FIELDS[kind],))
    if kind == "quantile":
        x = World().quantile_s
        return QuantileStreams(arms, split, margin, harm=False).first([x, x - margin / 2, x - margin], -math.log(ALPHA))
    return first_block(paths(kind, arms, margin)[1], -math.log(ALPHA)) * sum(arms.sizes)


RATE_EFFECTS = ((0.01, 0.02), (0.05, 0.08), (0.20, 0.25), (0.002, 0.01), (0.01, 0.015))


def rate_power(runs: int, split: float = 0.5) -> list[tuple[float, float, float, float, Floats]]:
    """(old, new, best fixed sample, its simulated power, requests to detection) of each effect on a rate."""
    rows = []
    for old, new in RATE_EFFECTS if split == 0.5 else RATE_EFFECTS[:3]:
        best = rate_requests(old, new, split)
        power = z_test_power(old, new, split, best, np.random.default_rng(17))
        found = detection("rate", World(violation=new), World(violation=old), split, int(5 * best), runs)
        rows.append((old, new, best, power, found))
    return rows


OTHER_EFFECTS = (
    ("slo", 1.1), ("slo", 1.2), ("mean", 0.02), ("mean", 0.05), ("cost", 1.1), ("cost", 1.25),
    ("quantile", 1.1), ("quantile", 1.25),
)  # fmt: skip


def other_power(runs: int, split: float = 0.5) -> list[tuple[str, float, float, Floats]]:
    """(kind, effect, best fixed sample, requests to detection) of the other kinds."""
    rng, rows = np.random.default_rng(18), []
    for kind, effect in OTHER_EFFECTS:
        old, new = World(), WORSE[kind](World(), effect)
        if kind == "quantile":
            best = quantile_requests(old, new, split)
        elif kind == "slo":
            best = rate_requests(old.slo_missed, new.slo_missed, split)
        else:
            field = "cost_usd" if kind == "cost" else "satisfaction"
            samples = [draw(rng, (1_000_000,), world)[field] for world in (old, new)]
            best = mean_requests(samples[0], samples[1], split)
        some = min(runs, 200) if kind == "quantile" else runs
        rows.append((kind, effect, best, detection(kind, new, old, split, int(5 * best), some)))
    return rows


def drifting(runs: int, blocks: int = 3000) -> int:
    """False alarms at a split of 50 % where the rate of both arms swings between 1 % and 6 % twice."""
    rng = np.random.default_rng(19)
    rate = 0.035 + 0.025 * np.sin(np.linspace(0, 4 * math.pi, blocks))
    alarms = 0
    for _, n in chunked(runs):
        c, b = rng.binomial(1, rate, (2, n, blocks))
        alarms += int((RateTest((1, 1), 0.02, n).paths(c, b)[0].max(axis=1) >= -math.log(ALPHA)).sum())
    return alarms


def clusters(runs: int) -> tuple[int, int]:
    """False rollbacks where users differ, looked for after every fifth request: unit user, unit request."""

    def work(seed: int) -> list[bool]:
        rng = np.random.default_rng([20, seed])
        often = 1 + rng.negative_binomial(0.5, 0.5 / 4.5, 400)
        user = rng.permutation(np.repeat(np.arange(400), often))
        trouble = np.where(rng.random(400) < 0.05, 0.4, 0.0)
        keys, arm = rng.integers(0, 2**63, 400).astype(np.uint64), rng.random(400) < 0.5
        values = {"violation": (rng.random(len(user)) < trouble[user]).astype(np.float64)}
        batch = Outcomes(np.arange(len(user)) * 1.0, keys[user], arm[user], values)
        return [rolled_back(batch, GateSpec(metric="violation_rate", margin=0.02, unit=unit)) for unit in UNITS]

    found = np.array(Parallel(n_jobs=-1)(delayed(work)(seed) for seed in range(runs)))
    return int(found[:, 0].sum()), int(found[:, 1].sum())


UNITS: tuple[Literal["user", "request"], ...] = ("user", "request")


def rolled_back(batch: Outcomes, spec: GateSpec, every: int = 5) -> bool:
    """Whether a stage of 50 % with one gate is rolled back at some look."""
    gates = StageGates.start([spec], alpha=ALPHA, split=0.5, started_s=0.0)
    for start in range(0, len(batch), every):
        gates.observe(batch.rows(slice(start, start + every)))
        if gates.gates[0].look(float(start)).verdict is Verdict.ROLL_BACK:
            return True
    return False


# ---- the page ---------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _share(events: int, trials: int) -> list[str]:
    return [f"{events:,}", f"{100 * events / trials:.2f} %", f"{100 * upper_bound(events, trials):.2f} %"]


def _median(found: Floats) -> str:
    value = float(np.median(found))
    return f"{value:,.0f}" if math.isfinite(value) else "not within the run"


def _false_rollbacks_text(runs: int) -> str:
    stages = false_rollbacks(runs)
    undivided = stages["all, undivided"]
    named = {**_NAMES, "all": "all five together"}
    rows = [[name, *_share(stages[kind], runs), "5 %"] for kind, name in named.items()]
    one = [[name, *_share(stages[f"{kind}, one stage"], runs), "5 %"] for kind, name in _NAMES.items()]
    head = ["gates", "false rollbacks", "rate", "upper 95 % bound", "declared"]
    return f"""### False rollbacks

{runs:,} rollouts of a release that is the same as its baseline, in three stages (5 %, 25 % and 50 %) of {REQUESTS:,}
requests each, **with a look after every request**. The error rate of 5 % is divided over stages and gates as in a real
rollout. An alarm counts even where the gate would also have proved the difference to be within the margin.

{table(head, rows)}

Had each of the fifteen tests of a rollout used the whole 5 %, {100 * undivided / runs:.1f} % would have been rolled
back. Of the last stage alone, with one gate that has the whole 5 % for itself:

{table(head, one)}
"""


def _power_text(runs: int) -> str:
    rows = []
    for split in (0.5, 0.1):
        for old, new, best, power, found in rate_power(runs, split):
            rows.append(
                [f"{100 * old:g} % → {100 * new:g} %", f"{100 * split:g} %", f"{best:,.0f}", f"{100 * power:.1f} %",
                 _median(found), f"{np.median(found) / best:.2f}", f"{np.quantile(found, 0.8) / best:.2f}",
                 f"{100 * np.mean(np.isfinite(found)):.1f} %"]
            )  # fmt: skip
    others = [
        [_NAMES[kind], f"{effect:+g}" if kind == "mean" else f"x {effect:g}", f"{best:,.0f}", _median(found),
         f"{np.median(found) / best:.2f}", f"{np.quantile(found, 0.8) / best:.2f}",
         f"{100 * np.mean(np.isfinite(found)):.1f} %"]
        for kind, effect, best, found in other_power(runs)
    ]  # fmt: skip
    return f"""### Time to detect

Requests of both arms until harm is proved at alpha 0.05, with a look after every request, against the best fixed sample
that knows the effect in advance (one-sided, alpha 0.05, power 80 %). A fixed-sample test may look once, at its end; a
gate may look whenever it likes. Runs go on to five times the fixed sample; "detected" is the share that was proved by
then.

{
        table(
            [
                "rate",
                "split",
                "fixed sample",
                "its power, simulated",
                "median to detect",
                "ratio",
                "80 % detected by, ratio",
                "detected",
            ],
            rows,
        )
    }

The other kinds, at a split of 50 %:

{
        table(
            ["metric", "effect", "fixed sample", "median to detect", "ratio", "80 % detected by, ratio", "detected"],
            others,
        )
    }

The effect on a mean is absolute, the others are factors on latency or cost. The fixed sample of a quantile is a z-test
that knows both densities; the gate knows nothing of the distribution.
"""


PREDICTED = (
    ("rate", 0.02), ("rate", 0.01), ("slo", 1.1), ("mean", 0.03), ("cost", 1.2), ("quantile", 1.15), ("quantile", 1.3)
)  # fmt: skip
_METRICS = {"rate": "violation_rate", "slo": "slo_attainment", "mean": "satisfaction", "cost": "cost_usd",
            "quantile": "latency_p95_s"}  # fmt: skip


def predictions(runs: int) -> list[tuple[str, float, float, float, float]]:
    """(kind, effect, split, predicted, simulated): requests until four in five regressions are detected."""
    rng, rows = np.random.default_rng(21), []
    old = draw(rng, (200_000,), World())
    for kind, effect in PREDICTED:
        world = WORSE[kind](World(), effect)
        new = draw(rng, (200_000,), world)
        for split in (0.5, 0.1):
            field = GateSpec(metric=_METRICS[kind], margin=1e-4, slo_s=SLO_S if kind == "slo" else None).reads
            apart = {
                "rate": world.violation - World().violation,
                "slo": world.slo_missed - World().slo_missed,
                "quantile": world.quantile_s - World().quantile_s,
            }.get(kind, abs(float(new[field].mean() - old[field].mean())))
            spec = GateSpec(metric=_METRICS[kind], margin=apart, slo_s=SLO_S if kind == "slo" else None)
            expected = detectable(
                spec, split=split, alpha=ALPHA, users_per_s=1.0, bake_max_s=1e7, baseline=Baseline(sample=old[field])
            )
            predicted = expected.margin_s or math.inf
            some = min(runs, 100) if kind == "quantile" else min(runs, 400)
            found = detection(kind, world, World(), split, int(2.5 * predicted), some, apart)
            rows.append((kind, effect, split, predicted, float(np.quantile(found, 0.8))))
    return rows


def _prediction_text(runs: int) -> str:
    rows = [
        [_NAMES[kind], f"{effect:+g}" if kind in ("mean", "rate") else f"x {effect:g}", f"{100 * split:g} %",
         f"{predicted:,.0f}", f"{simulated:,.0f}", f"{predicted / simulated:.2f}"]
        for kind, effect, split, predicted, simulated in predictions(runs)
    ]  # fmt: skip
    return f"""### What a plan says a stage can detect

Requests of both arms until a regression of this size is detected with a chance of 80 %, at alpha 0.05: as
`rollcast.planner.gates.detectable` predicts it from a sample of the baseline, and as simulated.

{table(["metric", "effect", "split", "predicted", "simulated", "ratio"], rows)}

The prediction leaves out what a mixture's other alternatives add, so it is mostly somewhat too long. It can be too
short where a proof rests on a handful of outcomes, as that of a tail quantile in a small arm.
"""


def _advance_text(runs: int) -> str:
    rows = [[_NAMES[kind], *_share(events, runs), "5 %"] for kind, events in false_advances(runs).items()]
    no_worse = []
    for kind in KINDS:
        found = proof_of_no_worse(kind, MARGINS[kind], 0.5, 4 * REQUESTS, min(runs, 200))
        unit = {"cost": "USD", "quantile": "s"}.get(kind, "")
        no_worse.append([_NAMES[kind], f"{MARGINS[kind]:g} {unit}".strip(), _median(found)])
    return f"""### False proofs of no worse, and how long a true one takes

{runs:,} stages of 50 % and {REQUESTS:,} requests in which the release is worse by exactly the margin; a proof of no
worse at any look is false.

{table(["gate", "false proofs", "rate", "upper 95 % bound", "declared"], rows)}

A cost gate is that of a bounded mean once its first outcomes have set the bound. Where nothing changed, the median of
requests (both arms, 50 %) until no worse than the margin is proved:

{table(["gate", "margin", "requests"], no_worse)}
"""


def _trouble_text(runs: int) -> str:
    users, requests = clusters(runs)
    rows = [
        [
            "rates that rise and fall sixfold over the stage, in both arms alike",
            *_share(drifting(20 * runs), 20 * runs),
        ],
        ["users who differ, unit of analysis the user (the default)", *_share(users, runs)],
        ["users who differ, unit of analysis the request", *_share(requests, runs)],
    ]
    return f"""### Where outcomes are not alike

False rollbacks of one gate at the whole 5 % where its outcomes are no repetition of one experiment. Of the users, one
in twenty has a violation in 40 % of requests, all others in none; a user sends five requests on average, some send
fifty.

{table(["stream", "false rollbacks", "rate", "upper 95 % bound"], rows)}

Requests of one user are not independent: judged one by one they count the same trouble many times. That is why the
default unit is the user, of whom the first known outcome in a stage is judged.
"""


def section(scale: float) -> str:
    """The gates' part of the page."""
    runs = max(40, int(10_000 * scale))
    few = max(40, int(1_000 * scale))
    quantile = f'"95 % latency" is the {100 * QUANTILE:g} % quantile'
    return f"""## Gates

Violations happen in 2 % of requests, latency is log-normal with a median of 1 s, satisfaction lies in [0, 1] with a
mean of 0.79, cost is log-normal with a mean of 0.009 USD; metrics of one request hang together.
{quantile}.

{_false_rollbacks_text(runs)}
{_power_text(few)}
{_advance_text(max(40, int(2_000 * scale)))}
{_prediction_text(few)}
{_trouble_text(max(20, int(400 * scale)))}"""
