"""The rollback from a milestone: traffic first, then what changed in place in reverse, then the new instances.

Steps that ran side by side are undone by one shift, however many they are, because their old instances still exist. A
slot that changed in place is overwritten with its old version only after a drain, in the reverse of the order in which
it was changed, so that no request ever gets a pair that the order was to avoid. The milestones of one step share one
rollback.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollcast.planner.plan.models import EVERYONE, Milestone, Operation, Rollback, Serving, Share
from rollcast.planner.planning.builder import Names, PlanBuilder
from rollcast.planner.planning.sessions import losses
from rollcast.planner.planning.steps import Step, instances_of
from rollcast.planner.releases.releases import Release
from rollcast.planner.routing.residency import in_turn


def roll_back_from(builder: PlanBuilder, done: Sequence[Step], origin: Serving, fresh: Sequence[str]) -> Rollback:
    """The rollback to the start of a wave: `done` are the steps begun since then, `fresh` the folders made since."""
    way = _Way(builder, done)
    pending: dict[str, Release | None] = way.ended(origin)
    for step in reversed(done):
        pending.update(step.before)
        if step.kind in ("in-place", "pause"):
            if step.kind == "pause":
                way.shift({**pending, **dict.fromkeys(step.before)}, "pause")
                way.overwrite(step)
                way.shift(pending, "resume")
            else:
                way.shift(pending, "traffic back")
                way.overwrite(step)
            pending = {}
    if pending:
        way.shift(pending, "traffic back")
    way.restore(origin)
    way.retire(fresh)
    return Rollback(
        from_milestone=len(builder.milestones) - 1,
        milestones=tuple(way.milestones),
        operations=tuple(way.operations),
        loses=losses(done),
    )


class _Way:
    """Collects the milestones of one rollback."""

    def __init__(self, builder: PlanBuilder, done: Sequence[Step]) -> None:
        self.builder, self.done = builder, done
        self.name = f"rollback-{len(builder.milestones) - 1}"
        self.names = Names()
        self.milestones: list[Milestone] = []
        self.operations: list[Operation] = []
        self.serving: Serving = {}
        self.sinks: tuple[str, ...] = ()

    def _add(self, title: str, operations: list[Operation], serving: Serving) -> None:
        waited = {name for op in operations for name in op.after}
        roots = self.sinks
        self.operations.extend(
            op if op.after or not roots else op.model_copy(update={"after": roots}) for op in operations
        )
        self.sinks = tuple(sorted(op.id for op in operations if op.id not in waited))
        self.milestones.append(Milestone(index=len(self.milestones), title=title, kind="restore", serving=serving))
        self.serving.update(serving)

    def _id(self, text: str, distinct: str = "") -> str:
        return self.names(f"{self.name}/{len(self.milestones)}/{text}", distinct)

    def _shift(self, track: str, release: Release | None, why: str) -> Operation:
        return Operation(
            id=self._id(f"shift/{track}"), kind="shift", milestone=len(self.milestones), line=track,
            release=release.id if release else None, after=self.sinks, why=why,
        )  # fmt: skip

    def shift(self, targets: dict[str, Release | None], title: str) -> None:
        serving: Serving = {
            track: (Share(line=track, audience=EVERYONE, percent=100.0, release=release.id),) if release else ()
            for track, release in targets.items()
        }
        operations = [self._shift(track, release, "rollback moves traffic first") for track, release in targets.items()]
        now = {**{track: self.builder.serving.get(track, ()) for track in targets}, **self.serving}
        self._add(title, in_turn(operations, self.builder.lines, now, serving)[0], serving)

    def overwrite(self, step: Step) -> None:
        drain = self._drain(f"{step.name} may only serve requests that began after its neighbours went back")
        operations = [drain]
        seen: set[str] = set()
        for release in step.before.values():
            for folder, (_, slot) in instances_of(release).items() if release else ():
                if release and slot in step.group.slots and release.slots[slot].in_place and folder not in seen:
                    seen.add(folder)
                    operations.append(
                        Operation(
                            id=self._id(f"provision/{slot}", folder),
                            kind="provision",
                            milestone=len(self.milestones),
                            component=slot,
                            artifact=release.slots[slot].reference,
                            instance=folder,
                            release=release.id,
                            in_place=True,
                            after=(drain.id,),
                            why="the version that served before",
                        )
                    )
        self._add(f"in place, back: {' + '.join(step.group.slots)}", operations, {})

    def ended(self, origin: Serving) -> dict[str, Release | None]:
        """Tracks that have ended though no step moved them: they come back first of all.

        Until then their requests are served by what the tracks after them serve, which is about to change back.
        """
        moved = {track for step in self.done for track in step.before}
        return {
            track: self.builder.releases[shares[0].release]
            for track, shares in origin.items()
            if len(shares) == 1 and not self.builder.serving.get(track) and track not in moved
        }

    def restore(self, origin: Serving) -> None:
        """The exact shares of the start, where a shift left other ones (a new channel, an audience)."""
        now = {**{track: self.builder.serving.get(track, ()) for track in origin}, **self.serving}
        wrong = {track: shares for track, shares in origin.items() if now[track] != shares}
        if wrong:
            operations = [self._shift(track, None, "as it was before") for track in wrong]
            self._add("as it was", in_turn(operations, self.builder.lines, now, wrong)[0], wrong)

    def retire(self, fresh: Sequence[str]) -> None:
        """Drain, and retire what this wave made."""
        if not fresh:
            return
        drain = self._drain("no request may still be on what is about to be retired", fresh)
        retires = self.builder.retires(fresh, (drain.id,), len(self.milestones), self._id)
        self._add("retire the new instances", [drain, *retires], {})

    def _drain(self, why: str, folders: Sequence[str] = ()) -> Operation:
        kept = {share.release for shares in self.serving.values() for share in shares}
        begun = {r.id for step in self.done for side in (step.before, step.after) for r in side.values() if r}
        gone = {name for name in begun - kept if not self.builder.served_elsewhere(name, self.serving)}
        return Operation(
            id=self._id("drain"), kind="drain", milestone=len(self.milestones), why=why,
            wait_s=self.builder.longest_request_s(gone | self.builder.owners(folders)), drained=tuple(sorted(gone)),
            after=self.sinks,
        )  # fmt: skip


__all__ = ["roll_back_from"]
