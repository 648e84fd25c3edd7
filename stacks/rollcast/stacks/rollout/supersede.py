"""Another declaration while a rollout is under way: what will stand once that is rolled back."""

from __future__ import annotations

from dataclasses import dataclass

from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import tracks_of
from rollcast.planner.rollout.state_machine import Rollout
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import RolloutContext, existing_of, load, serial_of, under_way
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.rollout.drift import LiveBaseline, left_by, rolled_back_state
from rollcast.stacks.state.live import EditedFlags, read, target_at


@dataclass(frozen=True)
class AfterSupersede:
    """The rollout under way, its steps back, and where the world stands after them."""

    context: RolloutContext
    steps: tuple[str, ...]
    baseline: LiveBaseline


def after_supersede(project: Project) -> AfterSupersede | None:
    """What rolling back the rollout under way will leave; None where none is under way. Nothing is changed.

    Raises StackError where it can't be rolled back any more.
    """
    ledger = existing_of(project)
    started = under_way(ledger) if ledger else None
    if ledger is None or started is None:
        return None
    context, checkpoint = load(ledger, started), Checkpoint.of(ledger.position(started.rollout))
    rollout = Rollout(context.plan, checkpoint.position)
    try:
        if checkpoint.intent is not None and rollout.position.rollback_from is None:
            rollout.roll_back_unfinished("")
        else:
            rollout.roll_back("")
    except ValueError as error:
        raise StackError(
            f"Rollout {context.id} is under way and can't be rolled back any more ({error}). "
            "Complete it with 'rollcast apply --resume' first."
        ) from None
    start, step = rollout.position.rollback_from, rollout.position.rollback_step
    assert start is not None
    way, state = context.plan.rollback_of(start), rolled_back_state(context.plan, start)
    steps = tuple(milestone.title for milestone in way.milestones[step:]) if way else ()
    live = read(
        target_at(project.folder, project.environment), project.declaration.each_pipeline(), EditedFlags.AS_WRITTEN
    )
    same = context.plan.settings.where == project.environment.where
    left = left_by(live.state, state, context) if same else live.state
    serial = {"serial": serial_of(ledger)}
    baseline_of = LiveBaseline(left.model_copy(update=serial), (), live, context)
    return AfterSupersede(context, steps, baseline_of)


def returning(ledger: Ledger, started: Record) -> bool:
    """Whether a rollout is being rolled back, or is itself a person's order to go back: no declaration stops that."""
    position = Checkpoint.of(ledger.position(started.rollout)).position
    return started.read(StartedBody).rollback or (position is not None and position.rollback_from is not None)


def is_of(project: Project, context: RolloutContext) -> bool:
    """Whether a rollout was made from what the project declares and pins now, word for word."""
    binding = context.plan.binding
    return (binding.declaration_digest, binding.lock_digest) == (project.declaration_digest, project.lock_digest)


def leads_to(project: Project, context: RolloutContext, declared: Plan) -> bool:
    """Whether a rollout leads to what is declared now, `declared`, for the same people and by the same rules."""
    plan, audiences = context.plan, {key: rule.root for key, rule in project.declaration.audiences.items()}
    return (
        plan.to_release == declared.to_release
        and {key: track for key, track in plan.lines.items() if key in plan.to_release}
        == tracks_of(project.declaration)
        and all(plan.audiences.get(key) == rule for key, rule in audiences.items())
        and plan.settings.where == declared.settings.where
    )
