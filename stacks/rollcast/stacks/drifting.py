"""Drift: what was changed by hand since the last rollout, said in sentences. Nothing is changed here.

The ledger says what the last rollout left (its last milestone, or the start of a wave that was led back); the target
says what is there. A project without a ledger has no past to drift from.
"""

from __future__ import annotations

from rollcast.planner.plan import Plan, WorldState
from rollcast.planner.rollout import Outcome
from rollcast.stacks.errors import DriftError
from rollcast.stacks.kept import Kept
from rollcast.stacks.ledger import Ledger, Record, existing_ledger
from rollcast.stacks.live import moved, read, target_at
from rollcast.stacks.project import Project
from rollcast.stacks.rollouts import FINISHED, STARTED, load, scope_of


def drift_of(project: Project) -> list[str]:
    """What is not as the last rollout left it. Raises StackError where ledger or target can't be read."""
    target = target_at(project.folder, project.environment)
    try:
        live = read(target, project.declaration.each_pipeline())
    except DriftError as error:
        return [str(error)]
    ledger = existing_ledger(project.folder, scope_of(project.declaration, project.environment_name))
    started = ledger.last(STARTED) if ledger else None
    if ledger is None or started is None:
        return []
    expected = _expected(ledger, started)
    return moved(live.state, *expected) if expected else []


def lineage_of(project: Project) -> str:
    """Which ledger this environment's history is in: the hash of its first record; empty before there is one."""
    ledger = existing_ledger(project.folder, scope_of(project.declaration, project.environment_name))
    records = ledger.records() if ledger else []
    return records[0].hash if records else ""


def _expected(ledger: Ledger, started: Record) -> list[WorldState]:
    """The states that the rollout may have left; empty while operations are under way."""
    plan = load(ledger, started).plan
    ended = next((r for r in ledger.records(started.seq, started.rollout) if r.kind == FINISHED), None)
    if ended is None:
        kept = Kept.of(ledger.position(started.rollout))
        position = kept.position
        if position is None or kept.intent is not None or position.rollback_from is not None:
            return []
        return [plan.state_at(position.milestone)]
    if ended.body["outcome"] == Outcome.PROMOTED.value:
        return [plan.state_at(len(plan.milestones) - 1)]
    return _wave_starts(plan) if ended.body["outcome"] == Outcome.ROLLED_BACK.value else []


def _wave_starts(plan: Plan) -> list[WorldState]:
    first = {milestone.wave: milestone.index for milestone in reversed(plan.milestones)}
    return [plan.state_at(index - 1) for index in sorted(first.values())]


__all__ = ["drift_of", "lineage_of"]
