"""From runs to a forecast: probabilities, intervals, and everything that the result rests on.

Long because every number of a forecast, and what it rests on, is made here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Sequence
from typing import get_args

import numpy as np
from scipy.special import stdtrit

from rollcast.planner.base.wording import in_words, some_of
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.state_machine import arms_of
from rollcast.simulator.base.draws import Floats
from rollcast.simulator.engines.interface import Demand
from rollcast.simulator.forecast.costs import cost_of, unneeded_prices
from rollcast.simulator.forecast.intervals import ENOUGH_RUNS, share_interval, spread
from rollcast.simulator.forecast.measures import SLO, guarded
from rollcast.simulator.forecast.models import (
    UNPROVED,
    Detection,
    Duration,
    Exposure,
    Forecast,
    Interval,
    MetricForecast,
    OutcomeForecast,
    OutcomeIntervals,
    Proof,
    Reason,
    StageForecast,
    StationForecast,
    TimeToEnd,
)
from rollcast.simulator.forecast.rerouted import moved_of
from rollcast.simulator.forecast.runs import Pair, Run, RunInputs, StageOutcome
from rollcast.simulator.forecast.timeline import banded
from rollcast.simulator.replay.durations import OperationTimes
from rollcast.simulator.replay.replay import Ending
from rollcast.simulator.stations.network import OVERHEAD
from rollcast.simulator.stations.profiles import LlmProfile
from rollcast.simulator.traffic.recording import Traffic

_BUSY = 0.95
_FOR_LONG, _MANY = 0.2, 10


def forecast_of(
    stage: RunInputs,
    runs: Sequence[Run],
    *,
    seed: int,
    engine: str,
    requested: int,
    detection: tuple[Detection, ...] = (),
    said: Iterable[str] = (),
    interrupted: bool = False,
) -> Forecast:
    """The forecast that the finished runs make."""
    plan = stage.inputs.plan
    endings = Counter(run.ending for run in runs)
    share = {ending: endings[ending] / len(runs) for ending in get_args(Ending)}
    intervals = {ending: share_interval(endings[ending], len(runs)) for ending in get_args(Ending)}
    durations = np.array([run.duration_s for run in runs])
    stations = tuple(_stations(stage, runs))
    proof = proof_of(plan, runs)
    return Forecast(
        plan_digest=plan.digest, seed=seed, runs=len(runs), engine=engine,
        outcome=OutcomeForecast(**share), outcome_interval=OutcomeIntervals(**intervals),
        proof=proof, duration_s=_duration(durations), ends_after_s=_ends(runs),
        duration_interval_s=spread(durations), requests=len(stage.inputs.traffic),
        requests_replayed=float(np.mean([run.requests for run in runs])), metrics=tuple(_metrics(stage, runs)),
        exposure=_exposure(runs), capacity_cost=cost_of(plan, runs), detection=detection,
        stages=tuple(_stages(stage, runs)),
        assumptions=(*_assumptions(stage, runs), *said), traffic=stage.inputs.traffic.source,
        pipeline=plan.pipeline, environment=plan.environment, reasons=tuple(_reasons(runs)), stations=stations,
        warnings=tuple(_warnings(stage, stations, proof)), runs_asked=requested, interrupted=interrupted,
        moved=tuple(moved_of(stage.inputs)),
        timeline=banded([run.timeline for run in runs], ENOUGH_RUNS), evidence=runs[0].evidence,
    )  # fmt: skip


def _duration(seconds: Floats) -> Duration:
    p50, p95 = (float(np.quantile(seconds, q)) for q in (0.5, 0.95))
    return Duration(p50=p50, p95=p95, interval=spread(seconds))


def _ends(runs: Sequence[Run]) -> TimeToEnd:
    """How long it takes to each end."""
    by_end = {end: np.array([run.duration_s for run in runs if run.ending == end]) for end in get_args(Ending)}
    return TimeToEnd(**{end: _duration(seconds) for end, seconds in by_end.items() if len(seconds)})


def _metrics(stage: RunInputs, runs: Sequence[Run]) -> Iterable[MetricForecast]:
    watched = guarded(stage.inputs.plan)
    for audience in stage.audiences:
        for spec in stage.specs:
            key = (audience, spec.metric)
            yield _metric(stage.inputs.plan, spec, audience, [run.metrics[key] for run in runs], watched, runs[0], key)


def proof_of(plan: Plan, runs: Sequence[Run]) -> Proof:
    """What an end of these runs rests on: no proof where no request reached what is new, or nothing was live."""
    if plan.empty:
        return "compared"
    if _first(plan):
        return "uncompared" if any(run.requests for run in runs) else "unserved"
    return "compared" if any(_served(plan, stage) for run in runs for stage in run.stages) else "unserved"


def _served(plan: Plan, stage: StageOutcome) -> int:
    """Requests that a milestone's new release served; of one that compares nothing, all that came meanwhile."""
    moves = plan.milestones[stage.milestone].kind not in ("expand", "contract")
    return stage.requests if moves and arms_of(plan, stage.milestone) is None else stage.exposed


def _first(plan: Plan) -> bool:
    """Whether nothing serves before the rollout: then there is nothing to compare with."""
    return not any(plan.from_release.values())


def _alone(spec: GateSpec, audience: str, pairs: Sequence[Pair]) -> MetricForecast:
    """A metric of a first release: no baseline, and nothing that would be derived from one."""
    values = np.array([rollout for _, rollout in pairs], np.float64)
    known = values[~np.isnan(values)]
    return MetricForecast(
        name=spec.metric, audience=audience, baseline=None, rollout=float(known.mean()) if len(known) else None,
        difference=None, interval=None,
    )  # fmt: skip


def _metric(
    plan: Plan, spec: GateSpec, audience: str, pairs: Sequence[Pair], watched: Container[str],
    first: Run | None = None, key: tuple[str, str] = ("", ""),
) -> MetricForecast:  # fmt: skip
    """A metric against its baseline; `watched` are those that have a limit, `first` a run whose batches give `key`."""
    if _first(plan):
        return _alone(spec, audience, pairs)
    values = np.array(pairs, np.float64)
    known = values[~np.isnan(values).any(axis=1)]
    if not len(known):
        return MetricForecast(
            name=spec.metric, audience=audience, baseline=None, rollout=None, difference=None, interval=None
        )
    baseline, rollout = (float(column.mean()) for column in known.T)
    differences = known[:, 1] - known[:, 0]
    interval = spread(differences)
    if interval is None and first is not None:
        interval = _batch_interval(float(differences.mean()), first.batches.get(key))
    worse = -spec.margin if spec.better == "higher" else spec.margin
    limit = baseline + worse if spec.metric in watched else None
    ok = limit is None or (rollout >= limit if spec.better == "higher" else rollout <= limit)
    return MetricForecast(
        name=spec.metric, audience=audience, baseline=baseline, rollout=rollout, difference=rollout - baseline,
        interval=interval, limit=limit, ok=ok,
    )  # fmt: skip


def _batch_interval(difference: float, batches: Floats | None) -> Interval | None:
    """Batch means (Law, Simulation Modeling and Analysis, section 9.5): Student's t over successive batches."""
    known = batches[~np.isnan(batches)] if batches is not None else np.zeros(0)
    if len(known) < 3:
        return None
    half = float(stdtrit(len(known) - 1, 0.975) * known.std(ddof=1) / np.sqrt(len(known)))
    return difference - half, difference + half


def _exposure(runs: Sequence[Run]) -> Exposure:
    requests = np.array([run.exposed_requests for run in runs], np.float64)
    users = np.array([run.exposed_users for run in runs], np.float64)
    return Exposure(
        requests=float(requests.mean()), users=float(users.mean()), requests_interval=spread(requests),
        users_interval=spread(users),
    )  # fmt: skip


def _stages(stage: RunInputs, runs: Sequence[Run]) -> Iterable[StageForecast]:
    watched = guarded(stage.inputs.plan)
    for milestone in stage.inputs.plan.milestones:
        found: list[StageOutcome] = [
            outcome for run in runs for outcome in run.stages if outcome.milestone == milestone.index
        ]
        seconds = np.array([outcome.seconds for outcome in found])
        entered = np.array([outcome.entered_s for outcome in found])
        audience = milestone.audience or "everyone"
        metrics = [
            _metric(stage.inputs.plan, spec, audience, [o.metrics[spec.metric] for o in found], watched)
            for spec in stage.specs
            if found
        ]
        yield StageForecast(
            milestone=milestone.index, title=milestone.title, reached=len(found) / len(runs),
            seconds=float(seconds.mean()) if len(seconds) else None, seconds_interval=spread(seconds),
            requests=float(np.mean([o.requests for o in found])) if found else 0.0,
            requests_interval=spread(np.array([o.requests for o in found], np.float64)),
            exposed=float(np.mean([o.exposed for o in found])) if found else 0.0,
            exposed_interval=spread(np.array([o.exposed for o in found], np.float64)),
            metrics=tuple(metric for metric in metrics if metric.rollout is not None),
            entered_s=float(entered.mean()) if len(entered) else None, entered_interval_s=spread(entered),
        )  # fmt: skip


def _reasons(runs: Sequence[Run]) -> Iterable[Reason]:
    stopped = [run for run in runs if run.ending != "promoted"]
    names = Counter(run.metric or run.ending for run in stopped)
    for name, count in names.most_common():
        example = next(run.reason for run in stopped if (run.metric or run.ending) == name)
        yield Reason(metric=name, probability=count / len(runs), example=example)


def _stations(stage: RunInputs, runs: Sequence[Run]) -> Iterable[StationForecast]:
    for i, spec in enumerate(stage.inputs.network.stations):
        if spec.slot.endswith(OVERHEAD):
            continue
        own: list[Demand] = [run.demand[i] for run in runs]
        lasted = [max(run.duration_s, stage.inputs.traffic.span_s) for run in runs]
        used = np.array([d.busy_s / (d.servers * t) if t else 0.0 for d, t in zip(own, lasted, strict=True)])
        queues = np.array([d.longest_queue for d in own], np.float64)
        busy = float(used.mean())
        behind = [d.behind_since_s for d, t in zip(own, lasted, strict=True) if _behind(d, t)]
        yield StationForecast(
            station=spec.id, component=spec.slot, artifact=spec.reference, utilization=busy,
            requests=float(np.mean([d.requests for d in own])),
            longest_queue=float(queues.mean()), headroom=1 / busy if busy > 0 else None,
            utilization_interval=spread(used), queue_interval=spread(queues),
            behind_since_s=float(np.median(behind)) if 2 * len(behind) >= len(own) and behind else None,
        )  # fmt: skip


def _behind(demand: Demand, lasted_s: float) -> bool:
    """Whether a queue has not been empty again for a good part of the time: it grows, it is not just there."""
    return lasted_s - demand.behind_since_s > _FOR_LONG * lasted_s and demand.longest_queue > _MANY


def _warnings(stage: RunInputs, stations: Sequence[StationForecast], proof: Proof) -> Iterable[str]:
    batching = {spec.id for spec in stage.inputs.network.stations if isinstance(spec.profile, LlmProfile)}
    for station in stations:
        behind_s = station.behind_since_s
        if overloaded(station, station.station in batching):
            since = f" since {behind_s:.0f} s" if behind_s is not None else ""
            yield (
                f"{station.component} ({station.artifact}) can't keep up{since}: it is {station.utilization:.0%} busy. "
                "Its latencies grow for as long as this traffic lasts; give it replicas, or lower --scale."
            )
    yield from bare_requests(stage.inputs.traffic, batching)
    if proof == "unserved":
        yield UNPROVED["unserved"]
    if _first(stage.inputs.plan):
        yield "nothing is live, so a first release is compared with nothing: no baseline, difference or limit"
    yield from unneeded_prices(stage.inputs.plan)
    for audience, inside in stage.audiences.items():
        if not inside.any():
            yield f"no request of the traffic belongs to the audience '{audience}': its stages see no evidence"


def overloaded(station: StationForecast, batches: bool) -> bool:
    """Whether a station can't keep up.

    One that batches is always at work while anybody is there, and takes in more: only a queue that stays shows it.
    """
    return station.behind_since_s is not None or (station.utilization > _BUSY and not batches)


def bare_requests(traffic: Traffic, batching: set[str]) -> Iterable[str]:
    """Requests that an llm station would serve as one token, for it is not known how many they have."""
    bare = np.flatnonzero((traffic.input_tokens == 0) | (traffic.output_tokens == 0))
    if batching and len(bare):
        yield (
            f"{len(bare):,} of {len(traffic):,} requests have no number of input or output tokens, the first at "
            f"{traffic.arrival_s[bare[0]]:.0f} s: an llm station serves them as one token. Name the columns with "
            "--columns input_tokens=…,output_tokens=…, or leave them out of the traffic"
        )


def _assumptions(stage: RunInputs, runs: Sequence[Run]) -> Iterable[str]:
    inputs = stage.inputs
    yield from inputs.traffic.assumptions
    if any(run.requests > len(inputs.traffic) for run in runs):
        yield f"the rollout lasts longer than the trace ({inputs.traffic.span_s:.0f} s), which is repeated"
    for prior in stage.priors.priors:
        yield prior.sentence()
    durations = OperationTimes(inputs.plan)
    for milestone in inputs.plan.milestones:
        durations.of(inputs.plan.operations_of(milestone.index))
    yield from durations.assumptions()
    yield from _in_place(inputs.plan)
    yield from _confirmations(inputs.plan)
    slo = next((spec for spec in stage.specs if spec.metric == SLO), None)
    if slo is not None and SLO not in guarded(inputs.plan):
        yield (
            f"{SLO}: no gate declares an objective, so it is the share of answers within the declared timeout, "
            f"{slo.slo_s:g} s"
        )
    unprofiled = sorted({slot for path in inputs.network.paths for slot in path.unprofiled})
    if unprofiled:
        yield f"no profile for {', '.join(unprofiled)}: these take no time"
    if len(runs) < ENOUGH_RUNS:
        yield (
            f"{len(runs)} run{'s' if len(runs) > 1 else ''}: intervals are from batches of requests of the first run, "
            "so they leave out what is uncertain about rates, and stages, times, exposure and stations have none: that "
            f"takes {ENOUGH_RUNS} runs; ask for more with --runs"
        )


def _confirmations(plan: Plan) -> Iterable[str]:
    """What is taken to be confirmed at once."""
    found = [m for m in plan.milestones if m.confirm]
    if found:
        named = some_of([f"{m.title} (by {in_words(one.who for one in m.confirm)})" for m in found], 4)
        yield f"confirmed at once is taken to be {named}: no time here contains the waiting for who confirms"


def _in_place(plan: Plan) -> Iterable[str]:
    slots = sorted({op.component for op in plan.operations if op.in_place and op.component})
    if not slots:
        return
    paused = any(milestone.kind == "pause" for milestone in plan.milestones)
    yield (
        f"{', '.join(slots)} changes in place: the old version answers until the new one is whole, and is then "
        "replaced at once, as the flagd target does it"
        + ("; in a maintenance pause every request of its channels is refused" if paused else "")
        + "; a data plane that stops an instance while it replaces it loses those requests besides"
    )
