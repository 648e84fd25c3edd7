"""One milestone carried out in the world: what is there, what must be, the `up` between, and a look whether it is.

What exists is read back before and after. On the way forward it must be what the plan says; during a rollback it is
taken as it is, and only what the rollback names is changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from rollcast.planner.plan.models import LiveState, Serving, WorldState, fold
from rollcast.planner.rollout.state_machine import Reach
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.engine.program import DesiredState, nodes_of
from rollcast.stacks.engine.update import EngineStack
from rollcast.stacks.evaluators.results import SuiteResult, result_of
from rollcast.stacks.ledger.rollouts import RolloutContext
from rollcast.stacks.rollout.evaluations import Results
from rollcast.stacks.state.live import EditedFlags, LiveReading, moved, read, shares_in_words, target_at

Progress = Callable[[str], None]


@dataclass(frozen=True)
class MilestoneState:
    """Where a rollout is when it sets out for its next milestone. `again`: it had set out for it before."""

    context: RolloutContext
    milestone: int
    rollback_from: int | None
    rollback_step: int
    again: bool

    def before(self) -> list[WorldState]:
        """The states that the world may be in now."""
        plan = self.context.plan
        if self.rollback_from is None:
            states = [plan.state_at(self.milestone)]
            return [*states, plan.state_at(self.milestone + 1)] if self.again else states
        begun = [plan.state_at(self.milestone), plan.state_at(self.rollback_from)]
        back = [self._back(step) for step in range(self.rollback_step + 1)] if self.again or self.rollback_step else []
        return [*begun, *back]

    def _back(self, steps: int) -> WorldState:
        """The state after the first steps of the rollback."""
        assert self.rollback_from is not None
        way = self.context.plan.rollback_of(self.rollback_from)
        start = self.context.plan.state_at(self.rollback_from)
        if way is None:
            return start
        done = [operation for operation in way.operations if operation.milestone < steps]
        return fold(start, way.milestones[:steps], done)

    def after(self, live: LiveState) -> WorldState:
        """The state to reach. During a rollback instances stay as they are, but for those that its steps name."""
        plan = self.context.plan
        if self.rollback_from is None:
            return plan.state_at(self.milestone + 1)
        wanted = self._back(self.rollback_step + 1)
        way = plan.rollback_of(self.rollback_from)
        own = [op for op in way.operations if op.milestone == self.rollback_step] if way else []
        instances = {name: live.instances[name] for name in live.instances if name in wanted.instances}
        instances.update({op.instance: (op.release, op.component) for op in own
                          if op.kind == "provision" and op.instance and op.release and op.component})  # fmt: skip
        return WorldState(wanted.serving, instances)


@dataclass(frozen=True)
class MilestoneResult:
    """A milestone that is true: what its evaluations found, by operation id, and what serves, read back."""

    results: Mapping[str, SuiteResult]
    serving: Serving


class MilestoneRunner:
    """Carries milestones out in one environment."""

    def __init__(self, root: Path, world: EngineStack) -> None:
        self.root, self._world = root, world

    def _read(self, context: RolloutContext, edited: EditedFlags = EditedFlags.LEFT_OUT) -> LiveReading:
        """The live state. Flags that were edited by hand are left out, because they will be written again."""
        target = target_at(self.root, context.plan.settings, self._world.scope)  # a driver waits for what is away
        return read(target, {track.pipeline for track in context.lines.values()}, edited)

    def drift(self, stand: MilestoneState) -> list[str]:
        """What of the live state neither the plan nor this rollout made so."""
        live = self._read(stand.context, EditedFlags.AS_WRITTEN)
        return [*live.edits.values(), *moved(live.state, *stand.before())]

    def carry_out(
        self, stand: MilestoneState, action: Reach, progress: Progress, results: Results = MappingProxyType({})
    ) -> MilestoneResult:
        """Makes the milestone true, and looks whether it is. Raises StackError.

        results: of its evaluations that were run before, by operation id.
        """
        live = self._read(stand.context)
        wanted = stand.after(live.state)
        outputs = self._world.up(nodes_of(self._goal(stand.context, action, live, wanted, results)), progress)
        found = self._read(stand.context).state
        left = moved(found, wanted)
        if left:
            progress(f"the world is not yet as it must be ({'; '.join(left)}); once more")
            self._adopt(stand, action, progress)
            outputs = {
                **outputs,
                **self._world.up(nodes_of(self._goal(stand.context, action, live, wanted, results)), progress),
            }
            found = self._read(stand.context).state
            left = moved(found, wanted)
            if left:
                raise StackError(f"The milestone is not reached: {'; '.join(left)}. Run 'rollcast apply --resume'.")
        suites = [(op.id, op.evaluate.suite) for op in action.operations if op.evaluate]
        found_of = {name: _result(outputs.get(f"evaluate:{name}", {}), suite) for name, suite in suites}
        return MilestoneResult(found_of, found.serving)

    def recover(self) -> None:
        """After an engine that failed or was killed."""
        self._world.recover()

    def serves(self, context: RolloutContext) -> str:
        """What serves now, in words."""
        try:
            state = self._read(context).state
        except StackError:
            return "what serves now can't be read"
        shown = [f"{track}: {shares_in_words(shares)}" for track, shares in sorted(state.serving.items())]
        return "what serves now is " + ("; ".join(shown) or "nothing that rollcast wrote")

    def _adopt(self, stand: MilestoneState, action: Reach, progress: Progress) -> None:
        """Lets Pulumi know of instances that are there without its knowledge, so that it can delete them."""
        live = self._read(stand.context)
        known = {name: owner for name, owner in live.state.instances.items() if owner[0] in stand.context.plan.releases}
        state = WorldState(live.state.serving, known)
        self._world.up(nodes_of(self._goal(stand.context, None, live, state)), progress)

    def _goal(
        self,
        context: RolloutContext,
        action: Reach | None,
        live: LiveReading,
        state: WorldState,
        results: Results = MappingProxyType({}),
    ) -> DesiredState:
        return DesiredState(
            rollout=context.id,
            settings=context.plan.settings,
            state=state,
            operations=action.operations if action else (),
            releases={**live.state.releases, **context.plan.releases},
            lines=context.lines,
            audiences=context.audiences,
            live_flags=live.flags,
            definitions=context.definitions,
            digests=context.digests,
            owner=context.owner,
            results={name: result.to_json() for name, result in results.items()},
        )


def _result(outputs: Mapping[str, object], suite: str) -> SuiteResult:
    """What an evaluation found. Raises StackError where the engine gave nothing of it."""
    try:
        found = json.loads(str(outputs.get("result", "{}")))
    except ValueError:
        found = {}
    return result_of(found, suite)
