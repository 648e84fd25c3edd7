"""The way back from a milestone: traffic first, then what changed in place in reverse, then the new instances.

Steps that ran side by side are undone by one shift, however many they are, because their old instances still exist. A
slot that changed in place is overwritten with its old version only after a drain, in the reverse of the order in which
it was changed, so that no request ever meets a pair that the order was to avoid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rollcast.planner.plan import EVERYONE, Milestone, Operation, Rollback, Serving, Share
from rollcast.planner.releases import Release
from rollcast.planner.steps import Instances, Step, instances_of

if TYPE_CHECKING:
    from rollcast.planner.build import WaveBuilder


def retreat(milestone: int, done: Sequence[Step], origin: Serving, instances: Instances, plan: WaveBuilder) -> Rollback:
    """The rollback from a milestone to the start of its wave. `done` are the steps begun since then."""
    way = _Way(milestone, plan)
    pending: dict[str, Release | None] = {}
    for step in reversed(done):
        pending.update(step.before)
        if step.kind in ("in-place", "pause"):
            if step.kind == "pause":
                way.shift(dict.fromkeys(step.before), "pause")
                way.overwrite(step)
                way.shift(pending, "resume")
            else:
                way.shift(pending, "traffic back")
                way.overwrite(step)
            pending = {}
    if pending:
        way.shift(pending, "traffic back")
    way.restore(origin)
    way.retire_new(instances)
    return Rollback(from_milestone=milestone, milestones=tuple(way.milestones), operations=tuple(way.operations))


class _Way:
    """Collects the milestones of one rollback."""

    def __init__(self, milestone: int, plan: WaveBuilder) -> None:
        self.start, self.plan = milestone, plan
        self.milestones: list[Milestone] = []
        self.operations: list[Operation] = []
        self.serving: Serving = {}
        self.left: set[str] = set()

    def _add(self, title: str, operations: list[Operation], serving: Serving) -> None:
        index = len(self.milestones)
        waited = {name for op in operations for name in op.after}
        before = self.operations
        taken = {name for op in before for name in op.after}
        last = self.milestones[-1].index if self.milestones else -1
        sinks = tuple(sorted(op.id for op in before if op.milestone == last and op.id not in taken))
        tied = [
            op.model_copy(update={"milestone": index, "after": op.after or (sinks if index else ())})
            for op in operations
        ]
        assert waited <= {op.id for op in operations}
        self.operations.extend(tied)
        self.milestones.append(Milestone(index=index, title=title, kind="restore", serving=serving))
        self.serving.update(serving)

    def _name(self, text: str) -> str:
        return f"rollback-{self.start}/{len(self.milestones)}/{text}"

    def shift(self, targets: dict[str, Release | None], title: str) -> None:
        serving: Serving = {}
        operations = []
        for line, release in targets.items():
            shares = (Share(line=line, audience=EVERYONE, percent=100.0, release=release.id),) if release else ()
            serving[line] = shares
            operations.append(
                Operation(
                    id=self._name(f"shift/{line}"),
                    kind="shift",
                    milestone=0,
                    line=line,
                    release=release.id if release else None,
                    why="rollback moves traffic first",
                )
            )
        self._add(title, operations, serving)

    def overwrite(self, step: Step) -> None:
        drain = self._drain(f"{step.name} may only meet requests that began after its neighbours went back")
        operations = [drain]
        seen: set[str] = set()
        for release in step.before.values():
            for folder, (_, slot) in instances_of(release).items() if release else ():
                if release and slot in step.group.slots and release.slots[slot].in_place and folder not in seen:
                    seen.add(folder)
                    operations.append(
                        Operation(
                            id=self._name(f"provision/{slot}"),
                            kind="provision",
                            milestone=0,
                            component=slot,
                            artifact=release.slots[slot].reference,
                            instance=folder,
                            release=release.id,
                            in_place=True,
                            after=(drain.id,),
                            why="the version that served before",
                        )
                    )
        self._add(f"in place, back: {step.name}", operations, {})

    def restore(self, origin: Serving) -> None:
        """The exact shares of the start, where a shift left other ones (a new channel, an audience)."""
        wrong = {line: shares for line, shares in origin.items() if self.serving.get(line, shares) != shares}
        if wrong:
            operations = [
                Operation(id=self._name(f"shift/{line}"), kind="shift", milestone=0, line=line, why="as it was before")
                for line in wrong
            ]
            self._add("as it was", operations, wrong)

    def retire_new(self, instances: Instances) -> None:
        idle = [folder for folder in self.plan.instances if folder not in instances]
        if not idle:
            return
        drain = self._drain("no request may still be on what is about to be retired")
        retires = self.plan.retires(idle, (drain.id,), 0, self._name(""))
        self._add("retire the new instances", [drain, *retires], {})

    def _drain(self, why: str) -> Operation:
        plan = self.plan
        wait_s = max((line.rollout.timeout for line in plan.lines.values()), default=0.0)
        keep = {share.release for shares in self.serving.values() for share in shares}
        gone = {r.id for step in plan._done for r in step.after.values()} - keep
        return Operation(
            id=self._name("drain"), kind="drain", milestone=0, wait_s=wait_s, drained=tuple(sorted(gone)), why=why
        )
