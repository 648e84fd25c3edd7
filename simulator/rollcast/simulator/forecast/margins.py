"""Which margins the stages of a plan can detect with recorded traffic: by formula, before any replay.

Who belongs to a stage's audience is decided by the router that decides it live. Baselines are rates from evaluation
counts, by Jeffreys' rule; gates on other metrics are left out here, and a forecast's detection power covers them.
"""

from __future__ import annotations

import numpy as np

from rollcast.planner.gates.growth import Baseline
from rollcast.planner.gates.spec import MetricKind
from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.detection import ArrivalRate, StagePower, detect_by_stage
from rollcast.planner.rollout.state_machine import arms_of, specs_of
from rollcast.planner.routing.split import Router
from rollcast.simulator.traffic.recording import Traffic


def power_of(plan: Plan, traffic: Traffic) -> tuple[StagePower, ...]:
    """What every stage that compares two releases can detect with this traffic."""
    return detect_by_stage(plan, _arrivals(plan, traffic), _baselines(plan))


def _arrivals(plan: Plan, traffic: Traffic) -> dict[tuple[str, str], ArrivalRate]:
    found: dict[tuple[str, str], ArrivalRate] = {}
    for milestone, serving in zip(plan.milestones, plan.servings(), strict=True):
        arms = arms_of(plan, milestone.index)
        if arms is None or arms.baseline is None or (arms.line, arms.audience) in found:
            continue
        router = Router(plan.lines[arms.line].pipeline, plan.lines, serving, plan.audiences)
        routed = [router.route("", attributes) for attributes in traffic.classes]
        inside = np.array([r is not None and (r.line, r.audience) == (arms.line, arms.audience) for r in routed])
        rows = inside[traffic.attributes]
        window_s = min(milestone.bake_max_s, traffic.span_s)
        if not rows.any() or window_s <= 0:
            continue
        keys = traffic.key[rows]
        early = keys[traffic.arrival_s[rows] < window_s]
        found[arms.line, arms.audience] = ArrivalRate(
            users_per_s=len(np.unique(early)) / window_s,
            requests_per_s=len(keys) / traffic.span_s,
            users=float(len(np.unique(keys))),
        )
    return {place: arrivals for place, arrivals in found.items() if arrivals.users_per_s > 0}


def _baselines(plan: Plan) -> dict[str, Baseline]:
    rates: dict[str, Baseline] = {}
    serving = [name for name in plan.from_release.values() if name is not None]
    specs = {spec.metric: spec for milestone in plan.milestones for spec in specs_of(plan, milestone)}
    for metric, spec in specs.items():
        rate = max((r for release in serving if (r := _rate(plan, release, metric)) is not None), default=None)
        if spec.kind is MetricKind.RATE and rate is not None:
            rates[metric] = Baseline(value=rate if spec.better == "lower" else 1 - rate)
    return rates


def _rate(plan: Plan, release: str, metric: str) -> float | None:
    """The failure rate of a release: any component with counts may fail a request."""
    counts = list(plan.counts_of(release, metric).values())
    passes = np.prod([1 - (c.failures + 0.5) / (c.total + 1) for c in counts]) if counts else None
    return None if passes is None else float(1 - passes)
