"""Putting back what was changed by hand: the world becomes what the last rollout left, before anything new begins.

It is one `up` that declares that state, with no operations and no gates, because every release in it has served before.
Killed at any point it is done again by the next `apply`: what is still changed is found again, and the rest is found
done. What was found and that it was put back stands in the ledger, with the rollout that had left it so.
"""

from __future__ import annotations

from rollcast.planner.plan.models import WorldState
from rollcast.stacks.artifacts.recipes import definitions_of
from rollcast.stacks.base.errors import DriftError
from rollcast.stacks.base.events import Drifted, Emit, Progressed, Restored
from rollcast.stacks.engine.program import DesiredState, nodes_of
from rollcast.stacks.engine.update import EngineStack
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import MovedBody
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.drift import LiveBaseline, baseline_of

_TRIES = 2  # the second takes away what the engine did not know to be there


def put_back(
    project: Project, found: LiveBaseline, world: EngineStack, ledger: Ledger, lease: Lease, emit: Emit
) -> None:
    """Undoes a drift. Raises DriftError where the world is still otherwise afterwards, StackError where it can't."""
    rollout = found.context.id if found.context else ""
    ledger.append("drift", rollout, MovedBody(moved=list(found.drift)).to_json(), lease)
    emit(Drifted(moved=list(found.drift)))
    world.recover()
    wanted = WorldState(found.state.serving, found.state.instances)
    left = found
    try:
        for attempt in range(_TRIES):
            if attempt:  # the engine only deletes what it knows
                world.up(nodes_of(_goal(project, left, _with_all(left, wanted))), _quiet)
            world.up(nodes_of(_goal(project, left, wanted)), lambda text: emit(Progressed(text=text)))
            left = baseline_of(project)
            if not left.drift:
                break
    finally:
        world.end()
    if left.drift:
        raise DriftError(
            f"What was changed by hand is not put back: {'; '.join(left.drift)}. Run 'rollcast apply' again."
        )
    ledger.append("restored", rollout, MovedBody(moved=list(found.drift)).to_json(), lease)
    emit(Restored(moved=list(found.drift)))


def _with_all(found: LiveBaseline, wanted: WorldState) -> WorldState:
    """The wanted state and every instance that is there besides, so that the engine takes them for its own."""
    known = {name: owner for name, owner in found.live.state.instances.items() if owner[0] in found.live.state.releases}
    return WorldState(wanted.serving, {**known, **wanted.instances})


def _goal(project: Project, found: LiveBaseline, state: WorldState) -> DesiredState:
    context = found.context
    return DesiredState(
        rollout=f"{context.id if context else 'first'}/restored",
        settings=project.environment,
        state=state,
        operations=(),
        releases={**found.live.state.releases, **found.state.releases},
        lines={**(context.lines if context else {}), **found.live.lines},
        audiences={**(context.audiences if context else {}), **found.live.audiences},
        live_flags=found.baseline_flags,
        definitions=context.definitions if context else definitions_of(project.declaration),
        digests=context.digests if context else project.digests,
        owner=context.owner if context else "",
    )


def _quiet(text: str) -> None:
    """Taking something for its own changes nothing."""
