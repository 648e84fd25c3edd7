"""Evidence in one sentence that an on-call engineer understands."""

from __future__ import annotations

import math

from rollcast.planner.gates.dispersion import LEAST
from rollcast.planner.gates.outcomes import Evidence, Verdict
from rollcast.planner.gates.spec import GateSpec, MetricKind

_CLUSTERS = {"user": "users", "replica": "replicas that telemetry names", "minute": "minutes"}


def amount(spec: GateSpec, value: float | None) -> str:
    """A value of the metric with its unit."""
    if value is None:
        return "unknown"
    if spec.kind in (MetricKind.RATE, MetricKind.SLO):
        return f"{value * 100:.2f} %"
    return _in_unit(spec, value, "")


def difference(spec: GateSpec, value: float, sign: str = "+") -> str:
    """A difference of two values: of rates in percentage points, so that nobody takes it for a ratio."""
    if spec.kind in (MetricKind.RATE, MetricKind.SLO):
        return f"{value * 100:{sign}.2f} points"
    return _in_unit(spec, value, sign)


def _in_unit(spec: GateSpec, value: float, sign: str) -> str:
    if spec.kind is MetricKind.QUANTILE:
        return f"{value * 1000:{sign}.1f} ms" if abs(value) < 1 else f"{value:{sign}.2f} s"
    if spec.kind is MetricKind.COST:
        return f"{value:{sign}.3g} USD"
    return f"{value:{sign}.3f}"


def sentence(spec: GateSpec, evidence: Evidence) -> str:
    """What the evidence says."""
    if min(evidence.n_candidate, evidence.n_baseline) == 0:
        missing = "the new release" if evidence.n_candidate == 0 else "the baseline"
        return f"{spec.metric}: no outcome of {missing} yet; no data is never a pass"
    new, old = amount(spec, evidence.candidate_estimate), amount(spec, evidence.baseline_estimate)
    unit = "users" if spec.unit == "user" else "requests"
    together = f", which hang together: {evidence.widened:.2g} count as one" if 1 < evidence.widened < math.inf else ""
    seen = f"{new} against {old} ({evidence.n_candidate:,} and {evidence.n_baseline:,} {unit}{together})"
    margin = difference(spec, spec.margin, "")
    if evidence.verdict is Verdict.ROLL_BACK:
        by = f", e-value {_e_value(evidence.e_value_harm)}" if evidence.e_value_harm is not None else ""
        return f"{spec.metric} is proved worse than the baseline: {seen}{by}, false alarms at most {evidence.alpha:.2g}"
    if evidence.verdict is Verdict.ADVANCE:
        return f"{spec.metric} is proved no more than {margin} worse: {seen}"
    if math.isinf(evidence.widened):
        needed = f"at least {LEAST} {_CLUSTERS[spec.cluster or 'minute']}"
        return f"{spec.metric} is inconclusive so far: {seen}; how much they hang together takes {needed}"
    return (
        f"{spec.metric} is inconclusive so far: {seen}, "
        f"the difference may be {_range(spec, evidence)}; the margin is {margin}"
    )


def _e_value(value: float) -> str:
    return f"{value:.3g}" if value < 1e6 else "over a million"


def _range(spec: GateSpec, evidence: Evidence) -> str:
    low, high = evidence.interval or (-math.inf, math.inf)
    if math.isinf(low) and math.isinf(high):
        return "anything"
    if math.isinf(low):
        return f"anything up to {difference(spec, high)}"
    if math.isinf(high):
        return f"{difference(spec, low)} or more"
    return f"{difference(spec, low)} to {difference(spec, high)}"
