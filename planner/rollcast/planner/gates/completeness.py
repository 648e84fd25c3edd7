"""Completeness as evidence: requests of either arm that entered and of which telemetry shows no outcome.

A release whose requests vanish looks healthy by what is left. Where something counts the requests that entered (the
data plane's counters), those that telemetry does not show are missing. While both arms lose equally many in relation,
each missing one is the candidate's with the chance of the candidate's share of what entered; the beta mixture against
it is a martingale (as in `sample_ratio`), and has a part of the stage's error rate of its own. Loss comes in clumps (a
file, a batch of lines), so it is widened by its over-dispersion over time like any other metric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rollcast.planner.gates.binomial import log_mixture, rate_interval
from rollcast.planner.gates.dispersion import Dispersion
from rollcast.planner.gates.outcomes import Evidence, Verdict

METRIC = "missing_outcomes"
PART = 0.1  # of a stage's error rate, where the data plane counts
MARGIN = 0.01  # more of the new release than of the baseline that is no harm
_AT_BORDERS = 2  # requests that end just where a count begins or ends


class Completeness:
    """Requests that entered and those without an outcome, of candidate and baseline, since the stage began."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.entered, self.missing = [0, 0], [0, 0]
        self.dispersion = Dispersion()

    def counted(self, arms: Sequence[tuple[int, int]], after_s: float) -> None:
        """(entered, missing) of both arms since the stage began, as known so many seconds after that."""
        entered = [max(now, kept) for (now, _), kept in zip(arms, self.entered, strict=True)]
        missing = [min(max(lost - _AT_BORDERS, 0), now) for (_, lost), now in zip(arms, entered, strict=True)]
        more = np.subtract(entered, self.entered), np.subtract(missing, self.missing)
        self.dispersion.add(more[0], more[1], after_s)
        self.entered, self.missing = entered, missing

    def look(self) -> Evidence | None:
        """Proof that the new release loses more, or None."""
        (n_c, n_b), (lost_c, lost_b) = self.entered, self.missing
        if not n_c or not n_b or lost_c / n_c - lost_b / n_b <= MARGIN:
            return None
        log_e = log_mixture(lost_c, lost_c + lost_b, n_c / (n_c + n_b), 0.5, 0.5)
        widened = self.dispersion.widening() if log_e >= -math.log(self.alpha) else 1.0
        if log_e / widened < -math.log(self.alpha):
            return None
        return Evidence(
            metric=METRIC,
            verdict=Verdict.ROLL_BACK,
            candidate_estimate=lost_c / n_c,
            baseline_estimate=lost_b / n_b,
            difference=lost_c / n_c - lost_b / n_b,
            e_value_harm=math.exp(min(log_e / widened, 700.0)),
            n_candidate=n_c,
            n_baseline=n_b,
            alpha=self.alpha,
            margin=MARGIN,
            widened=widened,
            find_interval=self._interval,
            word=_sentence,
        )

    def _interval(self) -> tuple[float, float]:
        (low_c, high_c), (low_b, high_b) = (
            rate_interval(lost, n, self.alpha / 2) for lost, n in zip(self.missing, self.entered, strict=True)
        )
        return low_c - high_b, high_c - low_b

    def to_json(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha, "entered": list(self.entered), "missing": list(self.missing),
            "dispersion": self.dispersion.to_json(),
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Completeness:
        found = cls(data["alpha"])
        found.entered, found.missing = list(data["entered"]), list(data["missing"])
        found.dispersion = Dispersion.from_json(data["dispersion"])
        return found


def _sentence(evidence: Evidence) -> str:
    assert evidence.candidate_estimate is not None
    assert evidence.baseline_estimate is not None
    new, old = f"{evidence.candidate_estimate * 100:.2f} %", f"{evidence.baseline_estimate * 100:.2f} %"
    return (
        f"outcomes go missing: {new} of {evidence.n_candidate:,} requests of the new release have none, and {old} of "
        f"{evidence.n_baseline:,} of the baseline; what is left of them proves nothing, false alarms at most "
        f"{evidence.alpha:.2g}"
    )
