"""What gates are fed with and what they answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Units = npt.NDArray[np.uint64]


class Verdict(StrEnum):
    """What a look decides."""

    ADVANCE = "advance"
    CONTINUE = "continue"
    HOLD = "hold"
    ROLL_BACK = "roll_back"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A batch of outcomes of a stage's two arms, in the order in which they became known.

    time_s [n] seconds on the driver's clock; unit [n] hashed targeting keys; candidate [n] true for the new
    release; values: field -> [n], NaN where a row does not know it; is_label [n] marks delayed labels of earlier
    requests, which are judged but not counted again as requests.
    """

    time_s: Floats
    unit: Units
    candidate: Bools
    values: Mapping[str, Floats]
    is_label: Bools | None = None

    def __len__(self) -> int:
        return len(self.time_s)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One gate at one look. Estimates are in the metric's unit; `difference` is new minus baseline."""

    metric: str
    verdict: Verdict
    candidate_estimate: float | None
    baseline_estimate: float | None
    difference: float | None
    interval: tuple[float, float] | None
    e_value_harm: float | None
    n_candidate: int
    n_baseline: int
    alpha: float
    margin: float
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict.value}


@dataclass(frozen=True, slots=True)
class Guard:
    """A finding about the evidence itself. A guard that is not ok forbids to advance."""

    name: str
    ok: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class StageVerdict:
    """All gates and guards of a stage at one look."""

    verdict: Verdict
    evidences: tuple[Evidence, ...]
    guards: tuple[Guard, ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict.value,
            "sentence": self.sentence,
            "gates": [evidence.to_json() for evidence in self.evidences],
            "guards": [asdict(guard) for guard in self.guards],
        }
