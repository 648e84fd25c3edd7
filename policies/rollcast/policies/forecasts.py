"""What a rule may read of a forecast: the fields of its public JSON form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Metric(Protocol):
    """One metric of a forecast, per audience, against the counterfactual."""

    @property
    def name(self) -> str: ...
    @property
    def audience(self) -> str: ...
    @property
    def baseline(self) -> float: ...
    @property
    def rollout(self) -> float: ...
    @property
    def interval(self) -> tuple[float, float] | None: ...
    @property
    def limit(self) -> float | None: ...
    @property
    def ok(self) -> bool: ...


class Detection(Protocol):
    """How surely a regression of one metric is caught, and how many requests meet it before."""

    @property
    def metric(self) -> str: ...
    @property
    def regression(self) -> float: ...
    @property
    def probability(self) -> float: ...


class Forecast(Protocol):
    """What the simulator says will happen."""

    @property
    def metrics(self) -> Sequence[Metric]: ...
    @property
    def detection(self) -> Sequence[Detection]: ...
