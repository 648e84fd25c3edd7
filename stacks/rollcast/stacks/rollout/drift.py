"""Drift: what was changed by hand since the last rollout, said in sentences. Nothing is changed here.

The ledger says what the last rollout left (its last milestone, or the start of a wave that was rolled back), each flag
says what rollcast wrote, and the target says what is there. Without a ledger there are only flags to drift from. Of an
instance its manifest is compared, and not the files beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from rollcast.planner.plan.models import LiveState, Plan, WorldState, fold
from rollcast.planner.releases.releases import digest_of
from rollcast.planner.rollout.state_machine import Outcome
from rollcast.stacks.base.errors import DriftError, LedgerError, StackError
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import FinishedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import FINISHED, RolloutContext, existing_of, last_started, load, serial_of
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.state.live import EditedFlags, LiveReading, moved, read, target_at
from rollcast.stacks.targets.opening import is_same_place


@dataclass(frozen=True)
class LiveBaseline:
    """What rollcast left, which a plan begins from, and what of the world is otherwise now.

    `state` is what is live where nothing drifted; `live` is what was read; `context` is the last rollout, if any.
    """

    state: LiveState
    drift: tuple[str, ...]
    live: LiveReading
    context: RolloutContext | None

    @property
    def digest(self) -> str:
        """Of the state and its drift: a plan that was made before a change by hand is stale."""
        return digest_of([self.state.digest, *self.drift]) if self.drift else self.state.digest

    @property
    def baseline_flags(self) -> Mapping[str, dict[str, object]]:
        """The flags that need no repair, by pipeline."""
        tracks = {**(self.context.lines if self.context else {}), **self.live.lines}
        wrong = {
            tracks[track].pipeline
            for track in {*self.state.serving, *self.live.state.serving}
            if self.state.serving.get(track) != self.live.state.serving.get(track)
        }
        return {name: flag for name, flag in self.live.flags.items() if name not in wrong}


def baseline_of(project: Project) -> LiveBaseline:
    """Where the last rollout left the world, and what was changed since.

    A last rollout of another target, or of a version of rollcast that this one can't read, says nothing about it.
    Raises StackError where ledger or target can't be read, DriftError where a flag was never rollcast's.
    """
    pipelines = set(project.declaration.each_pipeline())
    live = read(target_at(project.folder, project.environment), sorted(pipelines), edited=EditedFlags.AS_WRITTEN)
    ledger = existing_of(project)
    started = last_started(ledger) if ledger else None
    context = _context(project, ledger, started) if ledger and started else None
    expected = (
        [_of(pipelines, state, context) for state in _expected(ledger, started, context)] if ledger and context else []
    )
    gone = moved(live.state, *expected) if expected else []
    if live.foreign and not gone:
        raise DriftError(f"{live.edits[live.foreign[0]]}. Remove it from the definition, or choose another target.")
    nearest = min(expected, key=lambda state: len(moved(live.state, state)), default=None)
    state = left_by(live.state, nearest, context) if gone and nearest and context else live.state
    serial = {"serial": serial_of(ledger) if ledger else 0}
    return LiveBaseline(state.model_copy(update=serial), (*live.edits.values(), *gone, *live.down), live, context)


def _context(project: Project, ledger: Ledger, started: Record) -> RolloutContext | None:
    """The last rollout, where it was about this target."""
    try:
        context = load(ledger, started)
    except LedgerError:
        raise
    except StackError:
        return None
    return context if is_same_place(context.plan.settings, project.environment, project.folder) else None


def _of(pipelines: set[str], state: WorldState, context: RolloutContext | None) -> WorldState:
    """A state without the tracks and the instances of pipelines that are declared no more."""
    tracks = context.lines if context else {}
    serving = {key: s for key, s in state.serving.items() if key not in tracks or tracks[key].pipeline in pipelines}
    releases = context.plan.releases if context else {}
    instances = {
        folder: owner
        for folder, owner in state.instances.items()
        if owner[0] not in releases or releases[owner[0]].pipeline in pipelines
    }
    return WorldState(serving, instances)


def drift_of(project: Project) -> list[str]:
    """What is not as rollcast left it. Raises StackError where ledger or target can't be read."""
    try:
        return list(baseline_of(project).drift)
    except DriftError as error:
        return [str(error)]


def left_by(live: LiveState, expected: WorldState, context: RolloutContext) -> LiveState:
    """The live state as a rollout leaves it: what of it is otherwise counts for nothing."""
    known = {**context.plan.releases, **live.releases}
    serving = {track: shares for track, shares in expected.serving.items() if shares}
    owners = {release for release, _ in expected.instances.values()}
    served = {share.release for shares in serving.values() for share in shares}
    tracks = {**{key: track for key, track in context.lines.items() if key in serving}, **live.lines}
    return LiveState(
        serving=serving,
        releases={name: known[name] for name in sorted(owners | served) if name in known},
        instances=expected.instances,
        lines=tracks,
    )


def lineage_of(project: Project) -> str:
    """Which ledger this environment's history is in: the hash of its first record; empty before there is one."""
    ledger = existing_of(project)
    return ledger.lineage() if ledger else ""


def _expected(ledger: Ledger, started: Record | None, context: RolloutContext) -> list[WorldState]:
    """The states that the rollout may have left; empty while operations are under way."""
    if started is None:
        return []
    plan = context.plan
    ended = next((r for r in ledger.records(started.seq, started.rollout) if r.kind == FINISHED), None)
    if ended is None:
        checkpoint = Checkpoint.of(ledger.position(started.rollout))
        position = checkpoint.position
        if position is None or checkpoint.intent is not None or position.rollback_from is not None:
            return []
        return [plan.state_at(position.milestone)]
    outcome = ended.read(FinishedBody).ending
    match outcome:
        case Outcome.PROMOTED:
            return [plan.state_at(len(plan.milestones) - 1)]
        case Outcome.NOTHING:
            return []
        case Outcome.ROLLED_BACK:
            position = Checkpoint.of(ledger.position(started.rollout)).position
            start = position.rollback_from if position else None
            return [*_wave_starts(plan), *([rolled_back_state(plan, start)] if start is not None else [])]
        case _:
            assert_never(outcome)


def rolled_back_state(plan: Plan, start: int) -> WorldState:
    """The state at the end of the rollback from a milestone.

    It serves what the start of the wave does; what was overwritten in place may stand there under the release that the
    rollback wrote it for.
    """
    state, way = plan.state_at(start), plan.rollback_of(start)
    return fold(state, way.milestones, way.operations) if way else state


def _wave_starts(plan: Plan) -> list[WorldState]:
    first = {milestone.wave: milestone.index for milestone in reversed(plan.milestones)}
    return [plan.state_at(index - 1) for index in sorted(first.values())]
