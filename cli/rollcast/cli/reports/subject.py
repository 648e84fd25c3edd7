"""What a report is about: a plan, forecasts of it, what guardrails say, what the ledger says really happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rollcast.planner.base.wording import in_words
from rollcast.planner.plan.models import Plan
from rollcast.policies import Judgement
from rollcast.simulator.forecast.models import Forecast
from rollcast.stacks.ledger.payloads import ROLLBACK, VERDICT, StartedBody
from rollcast.stacks.ledger.records import Record


@dataclass(frozen=True, slots=True)
class Named:
    """A forecast with the name that a comparison gives it."""

    name: str
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class ReachedMilestone:
    """A milestone that was really reached, in seconds since the rollout began."""

    milestone: int
    seconds: float
    rollback: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What a gate really said at the end of a stage."""

    milestone: int
    metric: str
    verdict: str
    sentence: str
    low: float | None
    high: float | None
    estimate: float | None


@dataclass(frozen=True)
class Reality:
    """What the ledger says of one rollout."""

    rollout: str
    reached: Sequence[ReachedMilestone]
    gates: Sequence[Judged]
    outcome: str | None
    reason: str
    seconds: float | None
    entered: str = ""
    """How it came into an environment after another one: why as a hotfix, and who approved."""


@dataclass(frozen=True)
class Subject:
    """All that one report shows. The first forecast is the one that the verdict is of; others are what-ifs."""

    plan: Plan
    forecasts: Sequence[Named] = ()
    reality: Reality | None = None
    command: str = ""

    @property
    def forecast(self) -> Forecast | None:
        return self.forecasts[0].forecast if self.forecasts else None

    @property
    def guardrails(self) -> list[Judgement]:
        """Those that fail first, the mandatory before the advisory."""
        found = [Judgement.model_validate(dict(entry)) for entry in self.plan.guardrails]
        return sorted(found, key=lambda one: (one.passed, not one.blocks("plan"), one.level != "mandatory"))


def reality_of(records: Iterable[Record], rollout: str) -> Reality | None:
    """One rollout as its records have it; None where the ledger does not know it."""
    own = [record for record in records if record.rollout == rollout]
    started = next((record for record in own if record.kind == "started"), None)
    if started is None:
        return None
    reached = [
        ReachedMilestone(int(r.body["milestone"]), r.time_s - started.time_s, bool(r.body["rollback"]))
        for r in own
        if r.kind == "reached"
    ]
    finished = next((record for record in own if record.kind == "finished"), None)
    return Reality(
        rollout=rollout,
        reached=reached,
        gates=[judged for r in own if r.kind in (VERDICT, ROLLBACK) for judged in _judged(r)],
        outcome=str(finished.body["outcome"]) if finished else None,
        reason=str(finished.body["reason"]) if finished else "",
        seconds=finished.time_s - started.time_s if finished else None,
        entered=_entered(started),
    )


def _entered(started: Record) -> str:
    body = started.read(StartedBody)
    hotfix = f"A hotfix, ahead of its time: {body.hotfix}." if body.hotfix else ""
    who = f"Approved by {in_words(body.approved_by)}." if body.approved_by else ""
    return f"{hotfix} {who}".strip()


def _judged(record: Record) -> Iterable[Judged]:
    gates: Sequence[Mapping[str, Any]] = record.body.get("gates", ())
    for gate in gates:
        low, high = gate.get("interval") or (None, None)
        new, old = gate.get("candidate_estimate"), gate.get("baseline_estimate")
        yield Judged(
            milestone=int(record.body["milestone"]),
            metric=str(gate["metric"]),
            verdict=str(gate["verdict"]),
            sentence=str(gate["sentence"]),
            low=_number(low),
            high=_number(high),
            estimate=new - old if isinstance(new, int | float) and isinstance(old, int | float) else None,
        )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
