"""Putting back what was changed by hand: the world becomes what the last rollout left, before anything new begins.

It is one `up` that declares that state, with no operations and no gates, because every release in it has served before.
Killed at any point it is done again by the next `apply`: what is still changed is found again, and the rest is found
done. What was found and that it was put back stands in the ledger, with the rollout that had left it so.
"""

from __future__ import annotations

from rollcast.planner.plan.models import WorldState
from rollcast.stacks.base.errors import DriftError
from rollcast.stacks.base.events import Tell
from rollcast.stacks.engine.program import Goal, nodes_of
from rollcast.stacks.engine.update import EngineStack
from rollcast.stacks.ledger.lease import Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.project import Project
from rollcast.stacks.registries.artifacts import definitions_of
from rollcast.stacks.rollout.drift import Standing, standing

_TRIES = 2  # the second takes away what the engine did not know to be there


def put_back(project: Project, found: Standing, world: EngineStack, ledger: Ledger, lease: Lease, tell: Tell) -> None:
    """Undoes a drift. Raises DriftError where the world is still otherwise afterwards, StackError where it can't."""
    rollout = found.work.id if found.work else ""
    ledger.append("drift", rollout, {"moved": list(found.drift)}, lease)
    tell({"event": "drift", "moved": list(found.drift)})
    world.recover()
    wanted = WorldState(found.state.serving, found.state.instances)
    left = found
    for attempt in range(_TRIES):
        if attempt:  # the engine only deletes what it knows
            world.up(nodes_of(_goal(project, left, _with_all(left, wanted))), _quiet)
        world.up(nodes_of(_goal(project, left, wanted)), lambda text: tell({"event": "progress", "text": text}))
        left = standing(project)
        if not left.drift:
            break
    if left.drift:
        raise DriftError(
            f"What was changed by hand is not put back: {'; '.join(left.drift)}. Run 'rollcast apply' again."
        )
    ledger.append("restored", rollout, {"moved": list(found.drift)}, lease)
    tell({"event": "restored", "moved": list(found.drift)})


def _with_all(found: Standing, wanted: WorldState) -> WorldState:
    """The wanted state and every instance that is there besides, so that the engine takes them for its own."""
    known = {name: owner for name, owner in found.live.state.instances.items() if owner[0] in found.live.state.releases}
    return WorldState(wanted.serving, {**known, **wanted.instances})


def _goal(project: Project, found: Standing, state: WorldState) -> Goal:
    work = found.work
    return Goal(
        rollout=f"{work.id if work else 'first'}/restored",
        settings=project.environment,
        state=state,
        operations=(),
        releases={**found.live.state.releases, **found.state.releases},
        lines={**(work.lines if work else {}), **found.live.lines},
        audiences={**(work.audiences if work else {}), **found.live.audiences},
        live_flags=found.kept_flags,
        definitions=work.definitions if work else definitions_of(project.declaration),
        digests=work.digests if work else project.digests,
        owner=work.owner if work else "",
    )


def _quiet(text: str) -> None:
    """Taking something for its own changes nothing."""
