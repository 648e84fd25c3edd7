"""Waves of steps as milestones, operations and rollbacks.

Roots of a milestone wait for the sinks of the one before; within a milestone only the reduced upstream order is written
down. So the whole graph is transitively reduced as it is built, and milestones are true barriers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rollcast.planner.declaration import Bake, Environment, Rollout, Stage, Strategy
from rollcast.planner.plan import EVERYONE, Milestone, MilestoneKind, Operation, Rollback, Serving, Share
from rollcast.planner.releases import Line, Release
from rollcast.planner.retreat import retreat
from rollcast.planner.steps import Step, instances_of
from rollcast.planner.upstream import nearest_upstream

Instances = dict[str, tuple[str, str]]


class WaveBuilder:
    """Grows the plan wave by wave, keeping the state that the last milestone leaves."""

    def __init__(
        self,
        lines: Mapping[str, Line],
        environment: Environment,
        serving: Serving,
        instances: Instances,
        releases: Mapping[str, Release],
    ) -> None:
        self.lines, self.environment = lines, environment
        self.serving: Serving = dict(serving)
        self.instances: Instances = dict(instances)
        self.releases: dict[str, Release] = dict(releases)
        self.operations: list[Operation] = []
        self.milestones: list[Milestone] = []
        self.rollbacks: list[Rollback] = []
        self.notes: list[str] = []
        self.narrowed = False
        self._sinks: tuple[str, ...] = ()
        self._ids: set[str] = set()
        self._done: list[Step] = []

    # ---- one wave -----------------------------------------------------------------------------

    def wave(self, steps: Sequence[Step]) -> None:
        """Expand, shift, contract for these steps, with a rollback for every milestone up to contract."""
        for step in steps:
            self.releases.update({release.id: release for release in step.after.values()})
        if self.narrowed:
            self.notes.append(
                "Capacity does not let all new instances run beside the old ones: the plan is cut into narrower "
                "waves, and each wave's contract milestone is a point of no return."
            )
        origin, origin_instances = dict(self.serving), dict(self.instances)
        first = len(self.milestones)
        self._done = []
        self._expand(steps)
        for step in steps:
            self._done.append(step)
            if step.kind == "in-place":
                self._in_place(step)
            elif step.kind == "pause":
                self._pause(step)
            else:
                self._stages(step)
            self._undo_from(first, origin, origin_instances)
            first = len(self.milestones)
        self._keep_warm(steps)
        self._contract(steps)

    def _undo_from(self, first: int, origin: Serving, instances: Instances) -> None:
        for milestone in self.milestones[first:]:
            done = self._done if milestone.kind != "expand" else []
            self.rollbacks.append(retreat(milestone.index, done, origin, instances, self))

    def _expand(self, steps: Sequence[Step]) -> None:
        operations: list[Operation] = []
        made: dict[str, tuple[str, ...]] = {}
        for step in steps:
            for release in step.after.values():
                operations.extend(self._provisions(step, release, made))
        for step in steps:
            operations.extend(self._evaluations(step, made))
        if operations:
            gates = "new instances beside the old, in upstream order; nothing is served by them"
            self._milestone("expand", f"expand: {gates}", operations, {})

    def _provisions(self, step: Step, release: Release, made: dict[str, tuple[str, ...]]) -> list[Operation]:
        operations = []
        members = set(step.group.slots)
        folders = {slot: folder for folder, (_, slot) in instances_of(release).items()}
        upstream = nearest_upstream(release.slots, members | {s for s, f in folders.items() if f in made})
        for slot in [s for s in upstream.order if s in members and s in release.slots]:
            version, folder = release.slots[slot], folders[slot]
            if folder in self.instances or folder in made or (version.in_place and step.kind != "side-by-side"):
                continue
            waits = tuple(dict.fromkeys(i for up in upstream.of[slot] for i in made.get(folders.get(up, ""), ())[-1:]))
            why = f"{slot} {version.reference} runs beside what serves now"
            if upstream.of[slot]:
                why += f"; after {', '.join(upstream.of[slot])}: the data flows that way"
            name = self._id(f"provision/{self._slot_name(release, slot)}@{version.artifact.version}", folder)
            operation = Operation(
                id=name, kind="provision", milestone=len(self.milestones), component=slot, why=why, after=waits,
                artifact=version.reference, instance=folder, release=release.id,
            )  # fmt: skip
            operations.append(operation)
            made[folder] = (name,)
            if self.environment.target.endpoint:
                warm = self._id(name.replace("provision/", "warm/", 1), folder)
                text = f"{slot} {version.reference} answers its first request warm"
                operations.append(
                    operation.model_copy(update={"id": warm, "kind": "warm", "after": (name,), "why": text})
                )
                made[folder] = (name, warm)
        return operations

    def _evaluations(self, step: Step, made: Mapping[str, tuple[str, ...]]) -> list[Operation]:
        operations = []
        for line, release in step.after.items():
            rule = self.lines[line].rollout
            if step.kind != "side-by-side" or any(s.in_place for s in release.slots.values()) or not rule.evaluate:
                continue
            ready = {i for folder in instances_of(release) for i in made.get(folder, ())}
            blocked = {a for op in self._pending(made) for a in op if a in ready}
            for evaluate in rule.evaluate:
                name = self._id(f"evaluate/{self._prefix(line)}{step.name}@{evaluate.suite}", line)
                operations.append(
                    Operation(
                        id=name,
                        kind="evaluate",
                        milestone=len(self.milestones),
                        line=line,
                        release=release.id,
                        evaluate=evaluate,
                        after=tuple(sorted(ready - blocked)),
                        why=f"the whole release must pass {evaluate.suite} before any traffic meets it",
                    )
                )
        return operations

    def _pending(self, made: Mapping[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
        """Ids that are followed by another id of the same instance (a provision by its warm)."""
        return [ids[:-1] for ids in made.values()]

    # ---- shifts -------------------------------------------------------------------------------

    def _stages(self, step: Step) -> None:
        for line, release in step.after.items():
            old, rule = step.before[line], self.lines[line].rollout
            if old is None:
                self._shift(step, line, (self._share(line, EVERYONE, 100.0, release),), None, rule)
                continue
            settled: list[Share] = []
            stages = stages_of(rule)
            for number, stage in enumerate(stages):
                for percent in stage.percent:
                    shares = self._shares(line, settled, stage.audience, percent, old, release)
                    self._shift(step, line, shares, (number, stage, percent), rule)
                settled += self._split(line, stage.audience, stage.percent[-1], old, release)

    def _shares(
        self, line: str, settled: list[Share], audience: str, percent: float, old: Release, new: Release
    ) -> tuple[Share, ...]:
        shares = [*settled, *self._split(line, audience, percent, old, new)]
        if audience != EVERYONE:
            shares.append(self._share(line, EVERYONE, 100.0, old))
        if all(share.release == new.id for share in shares):
            return (self._share(line, EVERYONE, 100.0, new),)
        return tuple(shares)

    def _split(self, line: str, audience: str, percent: float, old: Release, new: Release) -> list[Share]:
        shares = [self._share(line, audience, percent, new)]
        if percent < 100:
            shares.append(self._share(line, audience, round(100 - percent, 3), old))
        return shares

    @staticmethod
    def _share(line: str, audience: str, percent: float, release: Release) -> Share:
        return Share(line=line, audience=audience, percent=percent, release=release.id)

    def _shift(
        self,
        step: Step,
        line: str,
        shares: tuple[Share, ...],
        stage: tuple[int, Stage, float] | None,
        rule: Rollout,
    ) -> None:
        audience, percent = (stage[1].audience, stage[2]) if stage else (EVERYONE, 100.0)
        bake = (stage[1].bake if stage else None) or rule.bake
        kind = "flag" if step.kind == "flag" else "shift"
        name = f"{kind}/{self._prefix(line)}{step.name}/{audience}@{percent:g}"
        why = self._why_now(step) if stage and (stage[0], stage[2]) == (0, stages_of(rule)[0].percent[0]) else (
            "the stage before has proved what it must" if stage else "nothing was served before"
        )  # fmt: skip
        operation = Operation(
            id=self._id(name, line), kind="flag" if kind == "flag" else "shift", milestone=len(self.milestones),
            line=line, release=step.after[line].id, component=step.name, why=why,
        )  # fmt: skip
        title = f"{percent:g} % of {audience}: {self._prefix(line)}{step.name}"
        details = {
            "step": step.name, "lines": (line,), "audience": audience, "percent": percent,
            "gates": tuple(gate.metric for gate in rule.gates) if stage else (),
            "bake_min_s": bake.min if stage else 0.0, "bake_max_s": bake.max, "bake_then": bake.then,
            "min_sample": (stage[1].min_sample if stage else None) or (rule.min_sample if stage else 0),
        }  # fmt: skip
        self._milestone("shift", title, [operation], {line: shares}, **details)

    def _why_now(self, step: Step) -> str:
        if step.group.after:
            return "; ".join(step.group.after) + ": those come first"
        if step.group.together:
            return "switch together: " + "; ".join(step.group.together)
        return "upstream before downstream; one group under analysis at a time, so that a regression has one suspect"

    def _in_place(self, step: Step) -> None:
        """A single slot that exists once: drain what may not meet it, overwrite it, tell the truth in the tags."""
        operations: list[Operation] = []
        if step.group.after and self._done[:-1]:
            operations.append(self._drain(step.name, self._stale(), "; ".join(step.group.after)))
        operations += self._swap(step, operations[-1:])
        shares: Serving = {line: (self._share(line, EVERYONE, 100.0, release),) for line, release in step.after.items()}
        waits = tuple(operation.id for operation in operations if operation.kind == "provision")
        for line, release in step.after.items():
            operations.append(
                self._all_at_once(step, line, release, waits, "requests are tagged with what serves them")
            )
        self.notes.append(f"{step.name} changes in place: all of its traffic at once, with no concurrent baseline.")
        self._milestone("shift", f"in place: {step.name}", operations, shares, **self._bake(step))

    def _pause(self, step: Step) -> None:
        """A group that can't run twice, with a declared maintenance pause: stop, drain, overwrite, resume."""
        stops = [
            Operation(
                id=self._id(f"shift/{self._prefix(line)}{step.name}/pause", line), kind="shift", line=line,
                milestone=len(self.milestones), component=step.name,
                why="maintenance pause: " + "; ".join(step.group.together),
            )
            for line in step.after
        ]  # fmt: skip
        everything = sorted({share.release for line in step.after for share in self.serving.get(line, ())})
        drain = self._drain(step.name, tuple(everything), "nothing may be in flight while the group is overwritten")
        drain = drain.model_copy(update={"after": tuple(sorted(op.id for op in stops))})
        self._milestone(
            "pause", f"pause: {step.name}", [*stops, drain], dict.fromkeys(step.after, ()),
            step=step.name, lines=tuple(step.after),
        )  # fmt: skip
        swaps = self._swap(step, [])
        self._milestone("pause", f"in place: {step.name}", swaps, {}, step=step.name, lines=tuple(step.after))
        resumes = [
            self._all_at_once(step, line, release, (), "the group is whole again")
            for line, release in step.after.items()
        ]
        shares: Serving = {line: (self._share(line, EVERYONE, 100.0, release),) for line, release in step.after.items()}
        self.notes.append(f"{step.name} needs a maintenance pause: no request is served while it is overwritten.")
        self._milestone("shift", f"resume: {step.name}", resumes, shares, **self._bake(step))

    def _swap(self, step: Step, waits_for: Sequence[Operation]) -> list[Operation]:
        swaps: dict[str, Operation] = {}
        for release in step.after.values():
            for folder, (_, slot) in instances_of(release).items():
                if slot not in step.group.slots or folder in swaps or not release.slots[slot].in_place:
                    continue
                version = release.slots[slot]
                name = f"provision/{self._slot_name(release, slot)}@{version.artifact.version}"
                swaps[folder] = Operation(
                    id=self._id(name, folder),
                    kind="provision",
                    milestone=len(self.milestones),
                    component=slot,
                    artifact=version.reference,
                    instance=folder,
                    release=release.id,
                    in_place=True,
                    after=tuple(op.id for op in waits_for),
                    why=f"{slot} can't run twice, so it is overwritten",
                )
        return list(swaps.values())

    def _all_at_once(self, step: Step, line: str, release: Release, waits: tuple[str, ...], why: str) -> Operation:
        name = self._id(f"shift/{self._prefix(line)}{step.name}/everyone@100", line)
        return Operation(
            id=name, kind="shift", milestone=len(self.milestones), line=line, release=release.id,
            component=step.name, after=waits, why=why,
        )  # fmt: skip

    def _bake(self, step: Step) -> dict[str, object]:
        rule = self.lines[step.group.lines[0]].rollout
        return {
            "step": step.name, "lines": step.group.lines, "audience": EVERYONE, "percent": 100.0,
            "gates": tuple(gate.metric for gate in rule.gates), "bake_min_s": rule.bake.min,
            "bake_max_s": rule.bake.max, "bake_then": rule.bake.then, "min_sample": rule.min_sample,
        }  # fmt: skip

    # ---- contract -----------------------------------------------------------------------------

    def _keep_warm(self, steps: Sequence[Step]) -> None:
        warm = max(self.lines[line].rollout.keep_warm for step in steps for line in step.group.lines)
        last = self.milestones[-1]
        if warm > last.bake_min_s:
            update = {"bake_min_s": warm, "bake_max_s": max(warm, last.bake_max_s)}
            self.milestones[-1] = last.model_copy(update=update)

    def _contract(self, steps: Sequence[Step]) -> None:
        used: Instances = {}
        for shares in self.serving.values():
            for share in shares:
                used.update(instances_of(self.releases[share.release]))
        idle = [folder for folder in self.instances if folder not in used]
        if not idle:
            return
        label = "+".join(dict.fromkeys(slot for step in steps for slot in step.group.slots))
        drain = self._drain(label, self._stale(), "no request may still be on what is about to be retired")
        retires = self.retires(idle, (drain.id,), len(self.milestones))
        self._milestone(
            "contract", "contract: retire what no release uses any more", [drain, *retires], {},
            lines=tuple(dict.fromkeys(line for step in steps for line in step.group.lines)), point_of_no_return=True,
        )  # fmt: skip

    def retires(self, idle: Iterable[str], waits: tuple[str, ...], milestone: int, prefix: str = "") -> list[Operation]:
        """Retire operations for folders, downstream before upstream; `prefix` keeps rollback ids apart."""
        by_release: dict[str, list[tuple[str, str]]] = {}
        for folder in idle:
            owner, slot = self.instances[folder]
            by_release.setdefault(owner, []).append((slot, folder))
        operations: list[Operation] = []
        for release_id, found in sorted(by_release.items()):
            release = self.releases[release_id]
            members = dict(found)
            upstream = nearest_upstream(release.slots, set(members))
            ids = {}
            for slot, folder in members.items():
                version = release.slots[slot].artifact.version
                ids[slot] = self._id(f"{prefix}retire/{self._slot_name(release, slot)}@{version}", folder)
            followers = {slot: [ids[d] for d in members if slot in upstream.of[d]] for slot in members}
            for slot in reversed([s for s in upstream.order if s in members]):
                operations.append(
                    Operation(
                        id=ids[slot],
                        kind="retire",
                        milestone=milestone,
                        component=slot,
                        release=release_id,
                        artifact=release.slots[slot].reference,
                        instance=members[slot],
                        after=tuple(sorted(followers[slot])) or waits,
                        why="no release uses it any more",
                    )
                )
        return operations

    def remove_lines(self, gone: Sequence[str]) -> None:
        """Lines that are no longer declared: their requests are served by the default line from then on."""
        if not gone:
            return
        operations = [
            Operation(
                id=self._id(f"shift/{line}/remove", line), kind="shift", milestone=len(self.milestones), line=line,
                why="the line is no longer declared",
            )
            for line in gone
        ]  # fmt: skip
        self._milestone("shift", "remove " + ", ".join(gone), operations, dict.fromkeys(gone, ()))
        self._done = []
        self._contract([])

    # ---- parts --------------------------------------------------------------------------------

    def _stale(self) -> tuple[str, ...]:
        """Releases that served at some time of the plan and do not serve now."""
        now = {share.release for shares in self.serving.values() for share in shares}
        before = {r.id for step in self._done for side in (step.before, step.after) for r in side.values() if r}
        return tuple(sorted(before - now))

    def _drain(self, label: str, releases: tuple[str, ...], why: str) -> Operation:
        wait_s = max((line.rollout.timeout for line in self.lines.values()), default=0.0)
        name = self._id(f"drain/{label}", str(len(self.milestones)))
        return Operation(
            id=name,
            kind="drain",
            milestone=len(self.milestones),
            component=label,
            wait_s=wait_s,
            drained=releases,
            why=why,
        )

    def _milestone(
        self, kind: MilestoneKind, title: str, operations: Sequence[Operation], serving: Serving, **details: object
    ) -> None:
        waited = {name for operation in operations for name in operation.after}
        tied = [op if op.after else op.model_copy(update={"after": self._sinks}) for op in operations]
        self._sinks = tuple(sorted(op.id for op in operations if op.id not in waited))
        self.operations.extend(tied)
        self.milestones.append(
            Milestone.model_validate(
                {"index": len(self.milestones), "title": title, "kind": kind, "serving": serving, **details}
            )
        )
        self.serving.update(serving)
        for operation in operations:
            if operation.kind == "provision" and operation.instance and operation.release and operation.component:
                self.instances[operation.instance] = (operation.release, operation.component)
            elif operation.kind == "retire" and operation.instance:
                self.instances.pop(operation.instance, None)

    def _prefix(self, line: str) -> str:
        return "" if len(self.lines) == 1 else f"{line}/"

    def _slot_name(self, release: Release, slot: str) -> str:
        pipelines = {line.pipeline for line in self.lines.values()}
        return slot if len(pipelines) == 1 else f"{release.pipeline}/{slot}"

    def _id(self, name: str, distinct: str) -> str:
        """A readable id; where two things share it, the later one carries what tells it apart."""
        if name in self._ids:
            name = f"{name}#{distinct.rsplit('-', 1)[-1].rsplit('/', 1)[-1]}"
            count = 2
            base = name
            while name in self._ids:
                name, count = f"{base}.{count}", count + 1
        self._ids.add(name)
        return name


def stages_of(rule: Rollout) -> tuple[Stage, ...]:
    """The stages that a strategy stands for."""
    if rule.strategy in (Strategy.BLUE_GREEN, Strategy.ALL_AT_ONCE):
        return (Stage(percent=(100.0,)),)
    if rule.strategy is Strategy.CANARY or not rule.stages:
        return (Stage(percent=rule.percent),)
    return rule.stages


__all__ = ["Bake", "WaveBuilder", "stages_of"]
