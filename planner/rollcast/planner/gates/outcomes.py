"""What gates are fed with and what they answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from functools import cached_property
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

    time_s [n] seconds on the driver's clock, of the request or of the moment when its outcome became known, whichever
    the source has: telemetry is stale when the latest is old, and rows from before the stage began are left out. unit
    [n] hashed targeting keys; candidate [n] true where the new release answered; values: field -> [n], NaN where a row
    does not know it. is_label [n] marks delayed labels of earlier requests, which are judged but not counted again as
    requests: such a row has the unit and the arm of the request that it belongs to, and only requests of this stage may
    have labels in it. keyless [n] marks rows that carry no targeting key: they are nobody's, so only gates by request
    judge them, and they are counted apart. replica [n] is the place of what served the request in `replicas`, -1 where
    that is not known. counted: the source counts requests and knows no users, so `unit` is a request's own.
    lost [n] marks requests that entered and had no outcome within their time: failures in every rate.
    """

    time_s: Floats
    unit: Units
    candidate: Bools
    values: Mapping[str, Floats]
    is_label: Bools | None = None
    keyless: Bools | None = None
    replica: npt.NDArray[np.int64] | None = None
    replicas: tuple[str, ...] = ()
    counted: bool = False
    lost: Bools | None = None

    def __len__(self) -> int:
        return len(self.time_s)

    def rows(self, chosen: Bools | slice) -> Outcomes:
        """Some of them, in the same order."""
        return Outcomes(
            self.time_s[chosen],
            self.unit[chosen],
            self.candidate[chosen],
            {name: column[chosen] for name, column in self.values.items()},
            None if self.is_label is None else self.is_label[chosen],
            None if self.keyless is None else self.keyless[chosen],
            None if self.replica is None else self.replica[chosen],
            self.replicas,
            self.counted,
            None if self.lost is None else self.lost[chosen],
        )


@dataclass(frozen=True)
class Evidence:
    """One gate at one look. Estimates are in the metric's unit; `difference` is new minus baseline.

    The e-value decides. `widened`: so many outcomes count as one, because they hang together; infinite where that
    can't be judged yet. `interval` is a confidence sequence of the difference for reading: wider than what the tests
    can prove. It and the sentence are worked out when they are first read.
    """

    metric: str
    verdict: Verdict
    candidate_estimate: float | None
    baseline_estimate: float | None
    difference: float | None
    e_value_harm: float | None
    n_candidate: int
    n_baseline: int
    alpha: float
    margin: float
    widened: float = 1.0
    find_interval: Callable[[], tuple[float, float]] | None = field(default=None, repr=False, compare=False)
    word: Callable[[Evidence], str] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Bounds of the difference, valid at all times together; None while an arm has no outcome."""
        return None if self.find_interval is None else self.find_interval()

    @cached_property
    def sentence(self) -> str:
        """The evidence in a sentence for people."""
        return "" if self.word is None else self.word(self)

    def to_json(self) -> dict[str, Any]:
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.compare and f.name != "widened"}
        if self.widened > 1:
            own["widened"] = self.widened if math.isfinite(self.widened) else None
        bounds = None if self.interval is None else [x if math.isfinite(x) else None for x in self.interval]
        return {**own, "verdict": self.verdict.value, "interval": bounds, "sentence": self.sentence}


@dataclass(frozen=True, slots=True)
class Guard:
    """A finding about the evidence itself. A guard that is not ok forbids to advance."""

    name: str
    ok: bool
    sentence: str


@dataclass(frozen=True)
class StageVerdict:
    """All gates and guards of a stage at one look. `decisive` names what the verdict rests on, in sentences."""

    verdict: Verdict
    evidences: tuple[Evidence, ...]
    guards: tuple[Guard, ...]
    decisive: tuple[Evidence | Guard | str, ...] = ()

    @cached_property
    def sentence(self) -> str:
        """Why, for people."""
        return "; ".join(part if isinstance(part, str) else part.sentence for part in self.decisive)

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict.value,
            "sentence": self.sentence,
            "gates": [evidence.to_json() for evidence in self.evidences],
            "guards": [asdict(guard) for guard in self.guards],
        }
