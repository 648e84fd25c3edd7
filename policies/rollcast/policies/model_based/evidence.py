"""Outcomes that a walk feeds to the gates of a stage: good, harmful, missing, or split otherwise than declared."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from rollcast.planner.gates.outcomes import Floats, Outcomes
from rollcast.planner.gates.spec import GateSpec, MetricKind

MOST_ROWS = 60_000
CANDIDATES = 120
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # spreads consecutive numbers over all bits (Knuth's multiplicative hash)


class StageEvidence(StrEnum):
    """What the telemetry of a stage shows."""

    HEALTHY = "healthy"
    HARMFUL = "harmful"
    SILENT = "silent"
    SKEWED = "skewed"


def outcomes_of(
    kind: StageEvidence, specs: tuple[GateSpec, ...], split: float, min_sample: int, now_s: float, first_unit: int
) -> Outcomes | None:
    """A batch of outcomes that became known now, or None for silence.

    Enough of them for a gate on a rate to see total failure, and no failure at all, at its usual margins.
    """
    if kind is StageEvidence.SILENT:
        return None
    wanted = max(CANDIDATES, min_sample + 1)
    rows = min(MOST_ROWS, int(np.ceil(wanted / split)))
    share = min(0.9, split * 8) if kind is StageEvidence.SKEWED and split < 1 else split
    candidate = np.zeros(rows, np.bool_)
    candidate[: round(rows * share)] = True
    values = {spec.reads: _values(spec, candidate, kind) for spec in specs} or {"error": np.zeros(rows)}
    unit = (np.arange(first_unit, first_unit + rows).astype(np.uint64) * _SPREAD).astype(np.uint64)
    return Outcomes(np.full(rows, now_s), unit, candidate, values)


def _values(spec: GateSpec, candidate: np.ndarray, kind: StageEvidence) -> Floats:
    good, bad = _ends(spec)
    values = np.full(len(candidate), good)
    if kind is StageEvidence.HARMFUL:
        values[candidate] = bad
    return values


def _ends(spec: GateSpec) -> tuple[float, float]:
    """The best and the worst outcome of a metric."""
    if spec.kind is MetricKind.RATE:
        low, high = 0.0, 1.0
    elif spec.kind is MetricKind.MEAN and spec.bounds is not None:
        low, high = spec.bounds
    elif spec.kind is MetricKind.SLO and spec.slo_s is not None:
        return 0.1 * spec.slo_s, 100 * spec.slo_s
    else:
        low, high = 0.5, 0.5 + 100 * max(spec.margin, 1.0)
    return (high, low) if spec.better == "higher" else (low, high)
