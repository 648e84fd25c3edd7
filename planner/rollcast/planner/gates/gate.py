"""One gate: which outcomes count, and how a look becomes evidence. The kinds are in modules of their own.

A filter must not look at what is measured: which outcomes count follows from the arm, the order of arrival, whether
the field is known, and the hash of the user.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from rollcast.planner.gates.dispersion import Clusters, Dispersion
from rollcast.planner.gates.outcomes import Bools, Evidence, Floats, Outcomes, Verdict
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.units import FirstOfUser, Keys
from rollcast.planner.gates.wording import sentence

_MATTERS = 1.0  # nats of evidence from which it is asked whether outcomes hang together


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a gate finds at one look: estimates of both arms, logs of e-values, and how to bound the difference.

    A log e-value of None is below what is needed for a proof.
    """

    candidate: float
    baseline: float
    log_harm: float | None
    log_no_worse: float | None
    find_interval: Callable[[], tuple[float, float]]


class Gate:
    """Shared by all kinds. `alpha` bounds the false proof of harm, `advance_alpha` that of no worse than the margin."""

    def __init__(self, spec: GateSpec, *, split: float, alpha: float, advance_alpha: float) -> None:
        self.spec, self.split = spec, split
        self.alpha, self.advance_alpha = alpha, advance_alpha
        self.harm_limit, self.advance_limit = -math.log(alpha), -math.log(advance_alpha)
        self.users = FirstOfUser()
        self.n = [0, 0]  # candidate, baseline
        self.dispersion = Dispersion(spec.cluster)
        self.proved_no_worse = False

    def observe(self, outcomes: Outcomes, keys: Keys | None = None, clusters: Clusters | None = None) -> None:
        """Take the outcomes that count for this gate. `keys` and `clusters` are the batch's, where they are known."""
        values = outcomes.values.get(self.spec.reads)
        if outcomes.lost is not None and self.spec.lost_as is not None:
            values = np.where(outcomes.lost, self.spec.lost_as, np.nan if values is None else values)
        if values is None:
            return
        counts: Bools = ~np.isnan(values)
        if self.spec.unit == "user":
            if outcomes.keyless is not None:
                counts &= ~outcomes.keyless
            keys = (keys or Keys.of(outcomes.unit)).rows(counts)
            counts[counts] = self.users.mask(keys)
        candidate: Bools = outcomes.candidate[counts]
        new = int(np.count_nonzero(candidate))
        self.n = [self.n[0] + new, self.n[1] + len(candidate) - new]
        scores = self.take(candidate, values[counts])
        clusters = clusters or Clusters.of(outcomes, 0.0)
        if len(scores) < len(outcomes):  # the first ones may only have set a scale
            clusters = clusters.rows(np.flatnonzero(counts)[len(candidate) - len(scores) :])
        self.dispersion.observe(scores, clusters)

    def look(self, baked_s: float) -> Evidence:
        """What is proved now.

        Proof of no worse, once reached, stays, but does not shield from harm: a release that is worse and not, by all
        the evidence up to now, within the margin is rolled back. Worse and within the margin is what the margin allows.
        """
        found, widened = self._widened()
        harm = found.log_harm is not None and found.log_harm >= self.harm_limit
        within = found.log_no_worse is not None and found.log_no_worse >= self.advance_limit
        self.proved_no_worse = self.proved_no_worse or within
        enough = min(self.n) >= self.spec.min_samples and baked_s >= self.spec.label_delay_s
        verdict = Verdict.CONTINUE
        if harm and not within:
            verdict = Verdict.ROLL_BACK
        elif self.proved_no_worse and enough:
            verdict = Verdict.ADVANCE
        candidate, baseline = _known(found.candidate), _known(found.baseline)
        return Evidence(
            metric=self.spec.metric,
            verdict=verdict,
            candidate_estimate=candidate,
            baseline_estimate=baseline,
            difference=None if candidate is None or baseline is None else candidate - baseline,
            e_value_harm=None if found.log_harm is None else math.exp(min(found.log_harm, 700.0)),
            n_candidate=self.n[0],
            n_baseline=self.n[1],
            alpha=self.alpha,
            margin=self.spec.margin,
            widened=widened,
            find_interval=found.find_interval if min(self.n) > 0 else None,
            word=partial(sentence, self.spec),
        )

    def _widened(self) -> tuple[Comparison, float]:
        """The comparison, and how many outcomes count as one in it: worked out where it could matter."""
        found = self.compare()
        proved = (found.log_no_worse or 0.0) >= self.advance_limit and not self.proved_no_worse
        if self.spec.cluster is None and (found.log_harm or 0.0) < _MATTERS and not proved:
            return found, 1.0
        widened = self.dispersion.widening(self.spread())
        return (found if widened == 1 else self.compare(widened)), widened

    def take(self, candidate: Bools, values: Floats) -> Bools | Floats:
        """Outcomes that count, in order. Whether each of the last ones failed, or its score in steps of `SCALE`."""
        raise NotImplementedError

    def compare(self, widened: float = 1.0) -> Comparison:
        """The evidence so far, where so many outcomes count as one."""
        raise NotImplementedError

    def spread(self) -> Floats | None:
        """[2] variance of one outcome's score in each arm, of scores up to one; None where it is one of two."""
        return None

    def state(self) -> dict[str, Any]:
        """What the kind keeps, as plain data."""
        raise NotImplementedError

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` gave."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        return {
            "spec": self.spec.model_dump(mode="json"), "split": self.split, "alpha": self.alpha,
            "advance_alpha": self.advance_alpha, "users": self.users.to_json(), "n": list(self.n),
            "proved_no_worse": self.proved_no_worse, "dispersion": self.dispersion.to_json(), "state": self.state(),
        }  # fmt: skip


def _known(estimate: float) -> float | None:
    return None if math.isnan(estimate) else estimate
