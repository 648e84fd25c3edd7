"""Opens the gate that a metric's kind asks for, fresh or from what was kept."""

from __future__ import annotations

from typing import Any

from rollcast.planner.gates.dispersion import Dispersion
from rollcast.planner.gates.gate import Gate
from rollcast.planner.gates.mean_gate import MeanGate
from rollcast.planner.gates.quantile_gate import QuantileGate
from rollcast.planner.gates.rate_gate import RateGate
from rollcast.planner.gates.spec import GateSpec, MetricKind
from rollcast.planner.gates.units import FirstOfUser

_KINDS: dict[MetricKind, type[Gate]] = {
    MetricKind.RATE: RateGate,
    MetricKind.SLO: RateGate,
    MetricKind.MEAN: MeanGate,
    MetricKind.COST: MeanGate,
    MetricKind.QUANTILE: QuantileGate,
}


def open_gate(spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> Gate:
    """A fresh gate of the kind that the metric asks for."""
    assert spec.kind is not None
    return _KINDS[spec.kind](spec, split=split, alpha=alpha, advance_alpha=advance_alpha)


def restore_gate(data: dict[str, Any]) -> Gate:
    """The gate that `to_json` described, bit for bit."""
    spec = GateSpec.model_validate(data["spec"])
    gate = open_gate(spec, split=data["split"], alpha=data["alpha"], advance_alpha=data["advance_alpha"])
    gate.users = FirstOfUser.from_json(data["users"])
    gate.n, gate.proved_no_worse = list(data["n"]), data["proved_no_worse"]
    if data.get("dispersion") is not None:  # a version that did not look for it kept none
        gate.dispersion = Dispersion.from_json(data["dispersion"])
    gate.restore(data["state"])
    return gate
