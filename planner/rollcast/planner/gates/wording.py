"""Evidence in one sentence that an on-call engineer understands."""

from __future__ import annotations

import math

from rollcast.planner.gates.outcomes import Evidence, Verdict
from rollcast.planner.gates.spec import GateSpec, MetricKind


def amount(spec: GateSpec, value: float | None, signed: bool = False) -> str:
    """A value of the metric with its unit."""
    if value is None or math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "unbounded"
    sign = "+" if signed else ""
    if spec.kind in (MetricKind.RATE, MetricKind.SLO):
        return f"{value * 100:{sign}.2f} %"
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
    seen = f"{new} against {old} ({evidence.n_candidate} and {evidence.n_baseline} {unit})"
    margin = amount(spec, spec.margin)
    if evidence.verdict is Verdict.ROLL_BACK:
        by = f", e-value {evidence.e_value_harm:.3g}" if evidence.e_value_harm is not None else ""
        return f"{spec.metric} is proved worse than the baseline: {seen}{by}, false alarm below {evidence.alpha:.2g}"
    if evidence.verdict is Verdict.ADVANCE:
        return f"{spec.metric} is proved no more than {margin} worse: {seen}"
    text = f"{spec.metric} can't tell yet: {seen}, the difference may be {_range(spec, evidence)}"
    return f"{text}; the margin is {margin}"


def _range(spec: GateSpec, evidence: Evidence) -> str:
    if evidence.interval is None:
        return "anything"
    low, high = evidence.interval
    return f"{amount(spec, low, True)} to {amount(spec, high, True)}"
