"""Metrics of many requests: what gates watch, and what a reader of a forecast wants to know besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rollcast.planner.base.audiences import matches, parse
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.planner.plan.models import EVERYONE, Plan
from rollcast.simulator.base.draws import Floats, Ints
from rollcast.simulator.replay.inputs import ReplayInputs
from rollcast.simulator.replay.request_log import Bools, RequestLog

_ALWAYS = ("latency_p50_s", "latency_p95_s", "latency_p99_s", "error_rate", "cost_usd")
_STREAMED = ("ttft_p50_s", "ttft_p95_s", "ttft_p99_s")
SLO = "slo_attainment"
BATCHES = 20


def specs_of(plan: Plan, streams: bool) -> tuple[GateSpec, ...]:
    """What is measured: every gate of the plan first, then what is always shown."""
    gates = {gate.metric: gate for track in plan.lines.values() for gate in track.rollout.gates}
    shown = (*_ALWAYS, *(_STREAMED if streams else ()))
    more = [GateSpec(metric=name, margin=0.5) for name in shown if name not in gates]
    objective_s = timeout_s(plan)
    if objective_s > 0 and not any(gate.kind is MetricKind.SLO for gate in gates.values()):
        more.append(GateSpec(metric=SLO, margin=0.5, slo_s=objective_s))
    return (*gates.values(), *more)


def timeout_s(plan: Plan) -> float:
    """The longest that a request of any track may take, as declared: the objective where no gate has another."""
    return max(track.rollout.timeout for track in plan.lines.values())


def guarded(plan: Plan) -> frozenset[str]:
    """Metrics that a gate watches."""
    return frozenset(gate.metric for track in plan.lines.values() for gate in track.rollout.gates)


def audiences_of(plan: Plan) -> tuple[str, ...]:
    """Everyone, and every audience of a milestone."""
    named = (milestone.audience for milestone in plan.milestones if milestone.audience)
    return tuple(dict.fromkeys((EVERYONE, *named)))


def members(inputs: ReplayInputs, audience: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which rows of the trace belong to an audience."""
    if audience == EVERYONE:
        return np.ones(len(inputs.traffic), np.bool_)
    rule = parse(inputs.plan.audiences[audience])
    inside = np.array([matches(rule, attributes) for attributes in inputs.traffic.classes], np.bool_)
    return inside[inputs.traffic.attributes]


def measures(specs: Sequence[GateSpec], values: Mapping[str, Floats], chosen: Ints | Bools) -> dict[str, float]:
    """Metrics of the chosen rows of the fields that gates read; NaN of no value. A field is looked through once."""
    found: dict[str, float] = {}
    for field in dict.fromkeys(spec.reads for spec in specs):
        column = values[field][chosen]
        known = column[~np.isnan(column)]
        own = [spec for spec in specs if spec.reads == field]
        quantiles = {spec.metric: spec.quantile for spec in own if spec.kind is MetricKind.QUANTILE and len(known)}
        if quantiles:
            found.update(zip(quantiles, np.quantile(known, list(quantiles.values())).tolist(), strict=True))
        found.update({spec.metric: _mean(spec, known) for spec in own if spec.metric not in quantiles})
    return found


def _mean(spec: GateSpec, known: Floats) -> float:
    """A rate, a mean or an attainment."""
    if not len(known):
        return float("nan")
    if spec.kind is MetricKind.SLO:
        assert spec.slo_s is not None
        return float((known <= spec.slo_s).mean())
    return float(known.mean())


def table_of(request_log: RequestLog, requests: Ints, specs: Sequence[GateSpec]) -> dict[str, Floats]:
    """The values of all fields that the metrics read."""
    return dict(request_log.values(requests, dict.fromkeys(spec.reads for spec in specs)))


def batch_differences(spec: GateSpec, baseline: Floats, rollout: Floats) -> Floats:
    """Paired differences of a metric in successive batches of requests, for the method of batch means."""
    if len(rollout) < 2 * BATCHES:
        return np.full(0, np.nan)
    before, after = (
        [
            measures([spec], {spec.reads: values}, batch)[spec.metric]
            for batch in np.array_split(np.arange(len(values)), BATCHES)
        ]
        for values in (baseline, rollout)
    )
    differences: Floats = np.array(after) - np.array(before)
    return differences
