"""One Monte Carlo run: the rollout and its counterfactual on the same luck, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rollcast.planner.gates import GateSpec
from rollcast.planner.plan import Plan
from rollcast.planner.rollout import arms_of, trials_of
from rollcast.simulator.draws import Floats, Ints, Purpose, uniform
from rollcast.simulator.engine import Demand
from rollcast.simulator.engines import Maker
from rollcast.simulator.faults import Injection, inject_rates
from rollcast.simulator.forecast import Known, Moment
from rollcast.simulator.journal import Journal
from rollcast.simulator.measures import batch_differences, measures, table_of
from rollcast.simulator.outcomes import Beliefs
from rollcast.simulator.replay import Ending, Replay, StageRecord, counterfactual, replay
from rollcast.simulator.scene import Scene
from rollcast.simulator.timeline import known, timeline

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


@dataclass(frozen=True)
class Stage:
    """What runs need of a forecast: the scene, what is known of outcomes, what is measured, how an engine is made."""

    scene: Scene
    beliefs: Beliefs
    specs: tuple[GateSpec, ...]
    audiences: Mapping[str, np.ndarray[tuple[int], np.dtype[np.bool_]]]
    maker: Maker
    injections: tuple[Injection, ...] = ()


def seed_of(seed: int, run: int) -> int:
    """The seed of one run."""
    return int(uniform(seed, run, 0, Purpose.RUN) * 2**53)


def rates_of(stage: Stage, own: int) -> Floats:
    """Failure rates of one run, with what is injected."""
    rates = stage.beliefs.rates(own)
    if stage.injections:
        scene = stage.scene
        inject_rates(rates, stage.injections, scene.plan, scene.network, stage.beliefs.metrics)
    return rates


def one_run(stage: Stage, seed: int, run: int) -> Run:
    """Run `run` of a forecast: the same numbers whichever process makes it, and in whatever order."""
    own = seed_of(seed, run)
    rates = rates_of(stage, own)
    engine = stage.maker.make(own, True)
    rollout = replay(stage.scene, engine, own, rates)
    baseline = counterfactual(stage.scene, stage.maker.make(own, False), own, rates, rollout.requests)
    return summary(stage, rollout, baseline, rollout.demand, keep_batches=run == 0)


def summary(stage: Stage, rollout: Replay, baseline: Journal, demand: tuple[Demand, ...], *, keep_batches: bool) -> Run:
    """The numbers of a run."""
    requests = np.arange(rollout.requests, dtype=np.int64)
    before = table_of(baseline, requests, stage.specs)
    after = table_of(rollout.journal, requests, stage.specs)
    metrics: dict[tuple[str, str], Pair] = {}
    batches: dict[tuple[str, str], Floats] = {}
    rows = rollout.journal.row(requests)
    for audience, members in stage.audiences.items():
        inside = members[rows]
        without, having = (measures(stage.specs, values, inside) for values in (before, after))
        for spec in stage.specs:
            metrics[audience, spec.metric] = (without[spec.metric], having[spec.metric])
            if keep_batches:
                b, a = before[spec.reads][inside], after[spec.reads][inside]
                batches[audience, spec.metric] = batch_differences(spec, b, a)
    exposed = _exposed(rollout, stage.scene.plan)
    return Run(
        rollout.ending, rollout.reason, rollout.metric, rollout.duration_s, rollout.requests, metrics, batches,
        len(exposed), len(np.unique(stage.scene.traffic.key[rollout.journal.row(exposed)])),
        tuple(_stages(stage, rollout, before, after)), demand,
        float(np.nanmax(rollout.journal.done_s[requests])) if len(requests) else 0.0,
        timeline(rollout.journal, rollout.requests, rollout.duration_s),
        known(rollout.looks) if keep_batches else (),
    )  # fmt: skip


def _exposed(rollout: Replay, plan: Plan) -> Ints:
    """Requests that a new release served before it was proved to those whom it served."""
    trials = trials_of(plan)
    found = [_new(rollout, stage, plan) for stage in rollout.stages if stage.milestone in trials]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _new(rollout: Replay, stage: StageRecord, plan: Plan) -> Ints:
    """Requests of a stage that its new release served, with gates or without."""
    arms = arms_of(plan, stage.milestone)
    if arms is None:
        return np.zeros(0, np.int64)
    mine, new = rollout.journal.sides(np.arange(stage.first, stage.last, dtype=np.int64), arms)
    return mine[new]


def _stages(
    stage: Stage, rollout: Replay, before: Mapping[str, Floats], after: Mapping[str, Floats]
) -> list[StageOutcome]:
    found = []
    for record in rollout.stages:
        if record.milestone < 0:
            continue
        requests = np.arange(record.first, record.last, dtype=np.int64)
        exposed = len(_new(rollout, record, stage.scene.plan))
        if record.arms is not None:
            requests, _ = rollout.journal.sides(requests, record.arms)
        without, having = (measures(stage.specs, values, requests) for values in (before, after))
        metrics = {spec.metric: (without[spec.metric], having[spec.metric]) for spec in stage.specs}
        found.append(
            StageOutcome(
                record.milestone,
                record.title,
                record.left_s - record.entered_s,
                len(requests),
                exposed,
                metrics,
                record.entered_s,
            )
        )
    return found
