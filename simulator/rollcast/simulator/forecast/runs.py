"""One Monte Carlo run: the rollout and its counterfactual on the same luck, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.state_machine import arms_of
from rollcast.simulator.base.draws import Floats, Ints, Purpose, uniform
from rollcast.simulator.engines.choice import EngineFactory
from rollcast.simulator.engines.interface import Demand
from rollcast.simulator.forecast.measures import batch_differences, measures, table_of
from rollcast.simulator.forecast.models import Known, Moment
from rollcast.simulator.forecast.timeline import known, timeline
from rollcast.simulator.replay.faults import Injection, inject_rates
from rollcast.simulator.replay.inputs import ReplayInputs
from rollcast.simulator.replay.outcomes import Priors
from rollcast.simulator.replay.replay import Ending, Replay, StageRecord, counterfactual, replay
from rollcast.simulator.replay.request_log import RequestLog

Pair = tuple[float, float]  # without the rollout, with it


@dataclass(frozen=True)
class StageOutcome:
    """One milestone of one run."""

    milestone: int
    title: str
    seconds: float
    requests: int
    exposed: int
    metrics: Mapping[str, Pair]
    entered_s: float


@dataclass(frozen=True)
class Run:
    """What is kept of a run: a few numbers, whatever the number of requests."""

    ending: Ending
    reason: str
    metric: str
    duration_s: float
    requests: int
    metrics: Mapping[tuple[str, str], Pair]  # (audience, metric)
    batches: Mapping[tuple[str, str], Floats]
    exposed_requests: int
    exposed_users: int
    stages: tuple[StageOutcome, ...]
    demand: tuple[Demand, ...]
    last_s: float
    timeline: tuple[Moment, ...] = ()
    evidence: tuple[Known, ...] = ()  # of the first run
    usd: float = 0.0
    most_usd_per_hour: float = 0.0


@dataclass(frozen=True)
class RunInputs:
    """What runs need of a forecast: the scene, what is known of outcomes, what is measured, how an engine is made."""

    inputs: ReplayInputs
    priors: Priors
    specs: tuple[GateSpec, ...]
    audiences: Mapping[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]
    maker: EngineFactory
    injections: tuple[Injection, ...] = ()


def seed_of(seed: int, run: int) -> int:
    """The seed of one run."""
    return int(uniform(seed, run, 0, Purpose.RUN) * 2**53)


def rates_of(stage: RunInputs, own: int) -> Floats:
    """Failure rates of one run, with what is injected."""
    rates = stage.priors.rates(own)
    if stage.injections:
        inputs = stage.inputs
        inject_rates(rates, stage.injections, inputs.plan, inputs.network, stage.priors.metrics)
    return rates


def one_run(stage: RunInputs, seed: int, run: int) -> Run:
    """Run `run` of a forecast: the same numbers whichever process makes it, and in whatever order."""
    own = seed_of(seed, run)
    rates = rates_of(stage, own)
    engine = stage.maker.make(own, True)
    rollout = replay(stage.inputs, engine, own, rates)
    baseline = counterfactual(stage.inputs, stage.maker.make(own, False), own, rates, rollout.requests)
    return summary(stage, rollout, baseline, rollout.demand, keep_batches=run == 0)


def summary(
    stage: RunInputs, rollout: Replay, baseline: RequestLog, demand: tuple[Demand, ...], *, keep_batches: bool
) -> Run:
    """The numbers of a run."""
    requests = np.arange(rollout.requests, dtype=np.int64)
    before = table_of(baseline, requests, stage.specs)
    after = table_of(rollout.request_log, requests, stage.specs)
    metrics: dict[tuple[str, str], Pair] = {}
    batches: dict[tuple[str, str], Floats] = {}
    rows = rollout.request_log.row(requests)
    for audience, members in stage.audiences.items():
        inside = members[rows]
        without, having = (measures(stage.specs, values, inside) for values in (before, after))
        for spec in stage.specs:
            metrics[audience, spec.metric] = (without[spec.metric], having[spec.metric])
            if keep_batches:
                b, a = before[spec.reads][inside], after[spec.reads][inside]
                batches[audience, spec.metric] = batch_differences(spec, b, a)
    stages = [_stage_requests(rollout, record, stage.inputs.plan) for record in rollout.stages if record.milestone >= 0]
    exposed = _exposed(stages, stage.inputs.trials)
    return Run(
        rollout.ending, rollout.reason, rollout.metric, rollout.duration_s, rollout.requests, metrics, batches,
        len(exposed), len(np.unique(stage.inputs.traffic.key[rollout.request_log.row(exposed)])),
        tuple(_stages(stage.specs, stages, before, after)), demand,
        float(np.nanmax(rollout.request_log.done_s[requests])) if len(requests) else 0.0,
        timeline(rollout.request_log, rollout.requests, rollout.duration_s),
        known(rollout.looks) if keep_batches else (), rollout.usd, rollout.most_usd_per_hour,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _OfStage:
    """A milestone as a replay went through it, the requests that it is about, and those that its new release served."""

    record: StageRecord
    requests: Ints
    new: Ints


def _stage_requests(rollout: Replay, record: StageRecord, plan: Plan) -> _OfStage:
    requests = np.arange(record.first, record.last, dtype=np.int64)
    arms = arms_of(plan, record.milestone)
    if arms is None:
        return _OfStage(record, requests, np.zeros(0, np.int64))
    compared, new = rollout.request_log.sides(requests, arms)
    # A milestone without gates is about all requests that came meanwhile.
    return _OfStage(record, requests if record.arms is None else compared, compared[new])


def _exposed(stages: Sequence[_OfStage], trials: frozenset[int]) -> Ints:
    """Requests that a new release served before it was proved to those whom it served."""
    return np.concatenate([np.zeros(0, np.int64), *(stage.new for stage in stages if stage.record.milestone in trials)])


def _stages(
    specs: Sequence[GateSpec], stages: Sequence[_OfStage], before: Mapping[str, Floats], after: Mapping[str, Floats]
) -> list[StageOutcome]:
    found = []
    for stage in stages:
        record, requests = stage.record, stage.requests
        without, having = (measures(specs, values, requests) for values in (before, after))
        metrics = {spec.metric: (without[spec.metric], having[spec.metric]) for spec in specs}
        found.append(
            StageOutcome(
                record.milestone,
                record.title,
                record.left_s - record.entered_s,
                len(requests),
                len(stage.new),
                metrics,
                record.entered_s,
            )
        )
    return found
