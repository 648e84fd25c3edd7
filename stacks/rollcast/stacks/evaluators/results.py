"""What a suite found, as the ledger keeps it: numbers for thresholds, and counts that keep their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from rollcast.planner.declaration.models import Evaluation
from rollcast.stacks.base.errors import StackError, first_mistake
from rollcast.stacks.base.formats import StoredModel


class SuiteResult(StoredModel):
    """One run of a suite on a release. counts: failures of cases by metric, overall and by segment of the traffic."""

    cases: int = Field(gt=0)
    metrics: dict[str, float] = Field(default_factory=dict, description="what thresholds are held against")
    counts: dict[str, Evaluation] = Field(default_factory=dict)
    judge: str = Field("", description="who judged the answers, with a version")
    served_by: dict[str, str] = Field(
        default_factory=dict, description="component -> the model that a vendor's answers named"
    )
    seeds: list[int] = Field(default_factory=list)
    cost_usd: float | None = Field(None, ge=0)

    @field_validator("metrics")
    @classmethod
    def _finite(cls, metrics: dict[str, float]) -> dict[str, float]:
        wrong = [name for name, value in metrics.items() if not math.isfinite(value)]
        if wrong:
            raise ValueError(f"'{wrong[0]}' is no number that a threshold can be held against")
        return metrics

    @model_validator(mode="after")
    def _says_something(self) -> SuiteResult:
        if not self.metrics and not self.counts:
            raise ValueError("there is no metric to judge")
        return self


def result_of(found: Mapping[str, Any], suite: str) -> SuiteResult:
    """What an evaluator answered, checked. Raises StackError naming what is wrong with it."""
    try:
        return SuiteResult.model_validate(found)
    except ValidationError as error:
        where, said = first_mistake(error, "all of it")
        raise StackError(f"{suite}: its result can't be used ({where}: {said}). Correct the suite.") from None


__all__ = ["SuiteResult", "result_of"]
