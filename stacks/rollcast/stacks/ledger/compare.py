"""A forecast against what the rollout then really did: outcome, times, shares, exposure, metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from rollcast.planner.base.keys import NO_KEY
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.simulator.forecast.models import Forecast, Interval
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import FinishedBody, ReachedBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED, RolloutContext, load
from rollcast.stacks.telemetry import RequestRecord, TelemetrySource

FORMAT_VERSION = "1.0"


def compare(ledger: Ledger, forecast: Forecast, source: TelemetrySource) -> dict[str, Any]:
    """The newest rollout of the forecast's plan beside the forecast. Raises StackError when there was none."""
    records = ledger.records()
    started = next(
        (r for r in reversed(records) if r.kind == STARTED and r.read(StartedBody).plan_digest == forecast.plan_digest),
        None,
    )
    if started is None:
        raise StackError(
            "No rollout here carried out the plan of this forecast. Compare with a forecast of a plan that was applied."
        )
    own = [record for record in records if record.rollout == started.rollout]
    ended = next((record for record in own if record.kind == FINISHED), None)
    context = load(ledger, started)
    requests = _requests(source, started.time_s, ended.time_s if ended else float("inf"))
    outcome = ended.read(FinishedBody).outcome if ended else "held"
    took_s = (ended or own[-1]).time_s - started.time_s
    return {
        "format_version": FORMAT_VERSION,
        "rollout": started.rollout,
        "plan_digest": forecast.plan_digest,
        "outcome": {"forecast": getattr(forecast.outcome, outcome, 0.0), "actual": outcome},
        "duration_s": _within(forecast.duration_s.p50, (0.0, forecast.duration_s.p95), took_s),
        "milestones": list(_milestones(forecast, own, started.time_s)),
        "exposure": _exposure(forecast, context, own, requests),
        "metrics": list(_metrics(forecast, context, requests)),
    }


def _within(expected: float | None, interval: Interval | None, actual: float | None) -> dict[str, Any]:
    inside = None if interval is None or actual is None else bool(interval[0] <= actual <= interval[1])
    return {"forecast": expected, "interval": list(interval) if interval else None, "actual": actual, "inside": inside}


def _milestones(forecast: Forecast, own: list[Record], began_s: float) -> Iterator[dict[str, Any]]:
    found = [(record.read(ReachedBody), record.time_s) for record in own if record.kind == "reached"]
    reached = {body.milestone: time_s - began_s for body, time_s in found if not body.rollback}
    for stage in forecast.stages:
        entered = _within(stage.entered_s, stage.entered_interval_s, reached.get(stage.milestone))
        yield {"milestone": stage.milestone, "title": stage.title, "probability": stage.reached, "entered_s": entered}


def _requests(source: TelemetrySource, start_s: float, end_s: float) -> list[RequestRecord]:
    if not source.knows_requests:
        return []
    cursor: dict[str, Any] = {}
    found: dict[str, RequestRecord] = {}
    more = True
    while more:
        batch = source.read(cursor)
        cursor, more = batch.cursor, batch.more
        for request in batch.requests:
            if not request.label and request.release and start_s <= request.time_s <= end_s:
                found.setdefault(request.id, request)
    return list(found.values())


def _exposure(
    forecast: Forecast, context: RolloutContext, own: list[Record], requests: list[RequestRecord]
) -> dict[str, Any]:
    """Requests and users that a release served before it had been proved at 100 %."""
    old = {release for release in context.plan.from_release.values() if release}
    last = context.plan.milestones[-1].index
    proved = [r.time_s for r in own if r.kind == "reached" and r.read(ReachedBody).milestone == last]
    until_s = proved[0] if proved and not own[-1].body.get("rollback") else float("inf")
    exposed = [request for request in requests if request.release not in old and request.time_s <= until_s]
    users = {request.key for request in exposed} - {NO_KEY}
    expected = forecast.exposure
    return {
        "requests": _within(expected.requests, expected.requests_interval, float(len(exposed))),
        "users": _within(expected.users, expected.users_interval, float(len(users))),
    }


def _metrics(forecast: Forecast, context: RolloutContext, requests: list[RequestRecord]) -> Iterator[dict[str, Any]]:
    """Guarded metrics over everyone: releases on the way against the one that served before, in the same time."""
    old = {release for release in context.plan.from_release.values() if release}
    specs = {gate.metric: gate for track in context.plan.lines.values() for gate in track.rollout.gates}
    for expected in forecast.metrics:
        spec = specs.get(expected.name)
        if spec is None or expected.audience != "everyone":
            continue
        before = _value(spec, [r for r in requests if r.release in old])
        after = _value(spec, [r for r in requests if r.release not in old])
        difference = after - before if before is not None and after is not None else None
        yield {
            "name": expected.name,
            "baseline": {"forecast": expected.baseline, "actual": before},
            "rollout": {"forecast": expected.rollout, "actual": after},
            "difference": _within(expected.difference, expected.interval, difference),
        }


def _value(spec: GateSpec, requests: list[RequestRecord]) -> float | None:
    values = np.array([r.values[spec.reads] for r in requests if spec.reads in r.values], np.float64)
    if not len(values):
        return None
    if spec.kind is MetricKind.QUANTILE:
        return float(np.quantile(values, spec.quantile or 0.5))
    if spec.kind is MetricKind.SLO:
        return float(np.mean(values <= (spec.slo_s or 0.0)))
    if spec.bounds is not None:
        values = np.clip(values, *spec.bounds)
    return float(values.mean())


def summary(report: Mapping[str, Any]) -> tuple[int, int]:
    """How many figures fell inside their intervals, of those that can be compared."""
    figures = [report["duration_s"], *report["exposure"].values()]
    figures += [milestone["entered_s"] for milestone in report["milestones"]]
    figures += [metric["difference"] for metric in report["metrics"]]
    known = [figure["inside"] for figure in figures if figure["inside"] is not None]
    return sum(known), len(known)
