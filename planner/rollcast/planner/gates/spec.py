"""What a gate watches: the `rollout.gates[]` entries of the declaration."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from rollcast.planner.base.values import duration_s


class MetricKind(StrEnum):
    """How outcomes of a metric are compared."""

    RATE = "rate"
    MEAN = "mean"
    QUANTILE = "quantile"
    SLO = "slo"
    COST = "cost"


_KNOWN: dict[str, tuple[MetricKind, str]] = {
    "error_rate": (MetricKind.RATE, "error"),
    "violation_rate": (MetricKind.RATE, "violation"),
    "hallucination_rate": (MetricKind.RATE, "hallucination"),
    "rejection_rate": (MetricKind.RATE, "rejected"),
    "satisfaction": (MetricKind.MEAN, "satisfaction"),
    "slo_attainment": (MetricKind.SLO, "latency_s"),
    "cost_usd": (MetricKind.COST, "cost_usd"),
}
_QUANTILE = re.compile(r"(latency|ttft)_p(\d{1,2}(?:_\d)?)_s")


class GateSpec(BaseModel):
    """One gate: the metric, and how much worse than the concurrent baseline the new release may be.

    `kind`, `field`, `quantile` and `better` follow from well-known metric names: error_rate, violation_rate,
    hallucination_rate, rejection_rate, satisfaction, slo_attainment, cost_usd, latency_pNN_s, ttft_pNN_s.

    The default unit of analysis is the user (targeting key): the split is made by user, and requests of one user
    are not independent, so only the first known outcome of each user in a stage is judged. `unit: request`
    takes every outcome; `cluster` then says what hangs together. Without it only what is seen to hang together
    widens the test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    metric: str
    margin: float = Field(gt=0, description="how much worse is still acceptable, absolute, in the metric's unit")
    kind: MetricKind | None = None
    field: str | None = Field(None, description="the outcome field that is read")
    quantile: float | None = Field(None, gt=0, lt=1)
    slo_s: float | None = Field(None, gt=0, description="the objective of slo_attainment, in seconds")
    bounds: tuple[float, float] | None = Field(None, description="range of a mean; outcomes beyond are cut to it")
    better: Literal["lower", "higher"] | None = None
    unit: Literal["user", "request"] = "user"
    cluster: Literal["user", "replica", "minute"] | None = Field(
        None,
        exclude_if=lambda given: given is None,
        description="outcomes that hang together: of one user, one replica, or of minutes near each other",
    )
    min_samples: int = Field(30, ge=1, description="outcomes in each arm before the gate may say advance")
    label_delay_s: Annotated[
        float,
        BeforeValidator(duration_s, json_schema_input_type=str | float),
        Field(description="labels arrive this late"),
    ] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _infer(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("metric"), str):
            return data
        found = dict(data)
        name = found["metric"]
        quantile = _QUANTILE.fullmatch(name)
        if name in _KNOWN:
            kind, field = _KNOWN[name]
            _default(found, kind=kind, field=field)
        elif quantile:
            q = float(quantile.group(2).replace("_", ".")) / 100
            _default(found, kind=MetricKind.QUANTILE, field=f"{quantile.group(1)}_s", quantile=q)
        if name == "satisfaction":
            _default(found, bounds=(0.0, 1.0))
        higher = name == "satisfaction" or found.get("kind") in (MetricKind.SLO, "slo")
        _default(found, better="higher" if higher else "lower")
        return found

    @model_validator(mode="after")
    def _complete(self) -> GateSpec:
        if self.kind is None or self.field is None:
            known = ", ".join([*_KNOWN, "latency_p95_s", "ttft_p50_s"])
            raise ValueError(f"'{self.metric}' is not a well-known metric ({known}); give 'kind' and 'field'")
        if self.kind is MetricKind.QUANTILE and self.quantile is None:
            raise ValueError("a quantile gate needs 'quantile', for example 0.95")
        if self.kind is MetricKind.SLO and self.slo_s is None:
            raise ValueError("slo_attainment needs 'slo_s', the objective in seconds")
        if self.kind is MetricKind.MEAN and self.bounds is None:
            raise ValueError("a mean needs 'bounds': [lowest, highest]")
        if self.cluster == "user" and self.unit == "user":
            raise ValueError("'cluster: user' is for 'unit: request': by user, one outcome of each is judged")
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise ValueError("'bounds' are [lowest, highest]")
        if self.kind in (MetricKind.RATE, MetricKind.SLO) and self.margin >= 1:
            raise ValueError("the margin of a rate is a fraction below 1, for example 0.002")
        return self

    @property
    def lost_as(self) -> float | None:
        """What a request without any outcome is judged as: a failure of a rate, an endless latency.

        None where that says nothing of the metric: of a cost, a score, and a label that comes later.
        """
        if self.label_delay_s > 0 or self.kind in (MetricKind.MEAN, MetricKind.COST):
            return None
        return math.inf if self.kind is not MetricKind.RATE else 1.0 if self.better == "lower" else 0.0

    @property
    def reads(self) -> str:
        """The outcome field."""
        assert self.field is not None
        return self.field


def _default(data: dict[str, Any], **values: Any) -> None:
    for key, value in values.items():
        if data.get(key) is None:
            data[key] = value
