"""All gates and guards of one stage: what the rollout asks for a verdict.

Error rates are declared once for the rollout. A false rollback is a false proof of harm by any gate of any stage, so
that error is divided (Bonferroni: dependence between metrics and stages is unknown) over the stages that compare and
their gates, after a tenth for missing outcomes where the data plane counts requests. A bad release is promoted only if
every gate of every stage proves it no worse, so each of those proofs may use the whole error rate (intersection-union
test, Berger 1982): whatever metric and stage it is bad in, that one proof is false.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rollcast.planner.gates.completeness import PART, Completeness
from rollcast.planner.gates.dispersion import Clusters
from rollcast.planner.gates.gate import Gate
from rollcast.planner.gates.guards import Counted, Guards
from rollcast.planner.gates.opening import open_gate, restore_gate
from rollcast.planner.gates.outcomes import Evidence, Guard, Outcomes, StageVerdict, Verdict
from rollcast.planner.gates.spec import GateSpec
from rollcast.planner.gates.units import Keys


def allot_alpha(error_rate: float, stages: int) -> float:
    """The part of the rollout's false-rollback rate that one stage may spend."""
    return error_rate / max(stages, 1)


def gates_part(alpha: float, counts: bool) -> float:
    """What all gates of a stage may spend together: the rest is for missing outcomes, where the data plane counts."""
    return alpha * (1 - PART) if counts else alpha


def gate_alpha(alpha: float, gates: int) -> float:
    """The part of a stage's false-rollback rate that one of its gates may spend."""
    return alpha / max(gates, 1)


class StageGates:
    """The evidence of one stage. Constant memory; `to_json` and `from_json` keep every bit."""

    def __init__(
        self,
        gates: Sequence[Gate],
        guards: Guards,
        specs: Sequence[GateSpec],
        completeness: Completeness | None = None,
    ) -> None:
        self.gates, self.guards, self.specs = tuple(gates), guards, tuple(specs)
        self.completeness = completeness

    @classmethod
    def start(
        cls,
        specs: Sequence[GateSpec],
        *,
        alpha: float,
        split: float,
        started_s: float,
        min_sample: int = 1,
        advance_alpha: float | None = None,
        stale_s: float = 300.0,
        counts: bool = False,
    ) -> StageGates:
        """A fresh stage. `split` is the fraction declared for the new release; 1.0 has no concurrent baseline.

        `counts`: the data plane counts the requests of each release, and missing outcomes are tested.
        """
        own = gate_alpha(gates_part(alpha, counts), len(specs))
        gates = [
            open_gate(spec, split=split, alpha=own, advance_alpha=advance_alpha or alpha)
            for spec in (specs if split < 1.0 else ())
        ]
        completeness = Completeness(alpha * PART) if counts and split < 1.0 else None
        watch_users = any(spec.unit == "request" for spec in specs)
        return cls(gates, Guards(split, started_s, min_sample, stale_s, watch_users), specs, completeness)

    def observe(self, outcomes: Outcomes) -> None:
        """Take outcomes that became known. What happened before the stage began belongs to another comparison."""
        early = outcomes.time_s < self.guards.started_s
        if early.any():
            outcomes = outcomes.rows(~early)
        if not len(outcomes):
            return
        keys = Keys.of(outcomes.unit)
        clusters = Clusters.of(outcomes, self.guards.started_s)
        self.guards.observe(outcomes, keys, clusters)
        for gate in self.gates:
            gate.observe(outcomes, keys, clusters)

    def counted(self, arms: Sequence[Counted], now_s: float) -> None:
        """What the data plane's counters say of candidate and baseline; see `Guards.counted`."""
        if self.completeness is not None:
            lost = [(finished, finished - shown_now) for finished, _, _, shown_now in arms]
            self.completeness.counted(lost, now_s - self.guards.started_s)

    def look(self, now_s: float) -> StageVerdict:
        """The verdict on everything observed so far. Looking often costs nothing in error rates."""
        baked_s = now_s - self.guards.started_s
        evidences = tuple(gate.look(baked_s) for gate in self.gates)
        missing = self.completeness.look() if self.completeness is not None else None
        if missing is not None:
            evidences = (*evidences, missing)
        guards = self.guards.look(now_s, self.specs, [gate.n for gate in self.gates])
        verdict, decisive = self._decide(evidences, guards)
        return StageVerdict(verdict, evidences, guards, decisive)

    def _decide(
        self, evidences: tuple[Evidence, ...], guards: tuple[Guard, ...]
    ) -> tuple[Verdict, tuple[Evidence | Guard | str, ...]]:
        """Harm first; then a broken guard, missing requests, missing proof."""
        harmful = tuple(e for e in evidences if e.verdict is Verdict.ROLL_BACK)
        if harmful:
            return Verdict.ROLL_BACK, harmful
        failed = tuple(guard for guard in guards if not guard.ok)
        broken = tuple(guard for guard in failed if guard.name != "min_sample")
        if broken:
            return Verdict.HOLD, broken
        unproved = tuple(e for e in evidences if e.verdict is Verdict.CONTINUE)
        if failed or unproved:
            return Verdict.CONTINUE, failed or unproved
        return Verdict.ADVANCE, evidences or (self._uncompared(), *(g for g in guards if g.name == "min_sample"))

    def _uncompared(self) -> str:
        if self.specs:
            return "no concurrent baseline is left at 100 %, so nothing is compared; telemetry flows"
        return "no gates are declared; telemetry flows"

    def to_json(self) -> dict[str, Any]:
        return {
            "specs": [spec.model_dump(mode="json") for spec in self.specs],
            "gates": [gate.to_json() for gate in self.gates],
            "guards": self.guards.to_json(),
            "completeness": None if self.completeness is None else self.completeness.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> StageGates:
        specs = [GateSpec.model_validate(spec) for spec in data["specs"]]
        completeness = Completeness.from_json(data["completeness"]) if data.get("completeness") else None
        gates = [restore_gate(gate) for gate in data["gates"]]
        return cls(gates, Guards.from_json(data["guards"]), specs, completeness)
