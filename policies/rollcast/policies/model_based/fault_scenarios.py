"""What a rollout must answer when it is tried at its first compared stage: harm is undone, silence is no proof."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.planner.gates.outcomes import Verdict
from rollcast.planner.plan.models import Milestone, Plan
from rollcast.planner.rollout.state_machine import AwaitConfirmation, Position, Reach, Rollout, arms_of, specs_of
from rollcast.policies.model_based.evidence import StageEvidence, outcomes_of


def unanswered(plan: Plan) -> Iterator[str]:
    """What the rollout answers wrongly."""
    yield from _promotion_outlives_a_crash(plan)
    for milestone in plan.milestones:
        arms = arms_of(plan, milestone.index) if milestone.gates else None
        if arms is not None and arms.split < 1.0:
            yield from _harm(plan, milestone, arms.split)
            yield from _silence(plan, milestone)
            return


def _promotion_outlives_a_crash(plan: Plan) -> Iterator[str]:
    promoted = Rollout(plan)
    promoted.promote(full=True)
    resumed = Rollout(plan, Position.model_validate_json(promoted.snapshot().model_dump_json()))
    for _ in plan.milestones:
        wanted = promoted.next(0.0)
        if resumed.next(0.0) != wanted:
            yield "a rollout that was promoted in full goes on otherwise once it is resumed."
            return
        if isinstance(wanted, AwaitConfirmation):
            promoted.confirm()
            resumed.confirm()
        wanted = promoted.next(0.0)
        if isinstance(wanted, Reach):
            promoted.reached(0.0)
            resumed.reached(0.0)


def _harm(plan: Plan, milestone: Milestone, split: float) -> Iterator[str]:
    rollout = _at(plan, milestone)
    now_s = milestone.bake_min_s + 1.0
    batch = outcomes_of(StageEvidence.HARMFUL, specs_of(plan, milestone), split, milestone.min_sample, now_s, 0)
    assert batch is not None
    rollout.observe(batch)
    verdict = rollout.look(now_s)
    back = rollout.position.rollback_from is not None
    if verdict is not None and verdict.verdict is Verdict.ROLL_BACK and not back:
        yield f"at '{milestone.title}' harm is proved, and nothing is rolled back."
    if rollout.position.cleared and not back:
        yield f"at '{milestone.title}' every request on the new release fails, and the stage is passed."


def _silence(plan: Plan, milestone: Milestone) -> Iterator[str]:
    rollout = _at(plan, milestone)
    rollout.look(milestone.bake_max_s + 1.0)
    if rollout.position.cleared and rollout.position.rollback_from is None:
        yield f"at '{milestone.title}' nothing is heard until the longest bake is over, and the stage is passed."


def _at(plan: Plan, milestone: Milestone) -> Rollout:
    rollout = Rollout(plan, Position(milestone=milestone.index - 1))
    rollout.reached(0.0)
    return rollout
