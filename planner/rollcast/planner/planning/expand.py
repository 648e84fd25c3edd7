"""Expand: new instances beside the old ones, in upstream order, and the evaluations that a new release must pass."""

from __future__ import annotations

from collections.abc import Sequence

from rollcast.planner.contracts.upstream import nearest_upstream
from rollcast.planner.plan.models import Operation
from rollcast.planner.planning.builder import PlanBuilder, listed
from rollcast.planner.planning.steps import Step, instances_of
from rollcast.planner.releases.releases import Release, SlotVersion

Made = dict[str, tuple[str, ...]]  # folder -> ids of the operations that make it, the last one last
Above = dict[str, frozenset[str]]  # operation -> every operation that it waits for, through others too


def expand(builder: PlanBuilder, steps: Sequence[Step]) -> list[str]:
    """One milestone that provisions everything of a wave that runs beside what serves now. Gives the new folders."""
    operations: list[Operation] = []
    made: Made = {}
    above: Above = {}
    overwritten = set(builder.idle())
    for step in steps:
        for release in step.after.values():
            operations.extend(_provisions(builder, step, release, made, above))
    for step in steps:
        operations.extend(_evaluations(builder, step, made, above))
    if operations:
        builder.milestone("expand", _title(builder, operations), operations, {}, lines=_lines(steps))
    return [folder for folder in made if folder not in overwritten]


def _title(builder: PlanBuilder, operations: Sequence[Operation]) -> str:
    new = listed(operations, "provision")
    if not new:
        return "expand: try what is already there"
    return f"expand: new {new}{builder.whose(operations)}, beside what serves now"


def _lines(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(track for step in steps for track in step.group.lines))


def _provisions(builder: PlanBuilder, step: Step, release: Release, made: Made, above: Above) -> list[Operation]:
    operations = []
    members = set(step.group.slots)
    folders = {slot: folder for folder, (_, slot) in instances_of(release).items()}
    upstream = nearest_upstream(release.slots, members | {s for s, f in folders.items() if f in made})
    for slot in [s for s in upstream.order if s in members and s in release.slots]:
        version, folder = release.slots[slot], folders[slot]
        if folder in made or _there(builder, folder, version):
            continue
        nearest_first = sorted(upstream.above[slot], key=upstream.order.index, reverse=True)
        waits = _waits([made[folders[up]][-1] for up in nearest_first if folders.get(up) in made], above)
        name = builder.id(f"provision/{builder.slot_name(release, slot)}@{version.artifact.version}", folder)
        operation = Operation(
            id=name, kind="provision", milestone=len(builder.milestones), component=slot, after=waits,
            artifact=version.reference, instance=folder, release=release.id,
            why=_why(step, slot, version.reference, upstream.of[slot]),
        )  # fmt: skip
        operations.append(operation)
        made[folder] = (name,)
        above[name] = frozenset().union(waits, *(above[earlier] for earlier in waits))
        if builder.environment.endpoints:
            warm = builder.id(name.replace("provision/", "warm/", 1), folder)
            text = f"{slot} {version.reference} answers its first request warm"
            operations.append(operation.model_copy(update={"id": warm, "kind": "warm", "after": (name,), "why": text}))
            made[folder] = (name, warm)
            above[warm] = above[name] | {name}
    return operations


def _waits(nearest_first: Sequence[str], above: Above) -> tuple[str, ...]:
    """Those that no other one waits for. What an earlier step made need not have waited for what is upstream of it."""
    found: list[str] = []
    covered: set[str] = set()
    for name in nearest_first:
        if name not in covered:
            found.append(name)
            covered |= above[name]
    return tuple(reversed(found))


def _there(builder: PlanBuilder, folder: str, version: SlotVersion) -> bool:
    """Whether a folder needs nothing now: it holds this already, or is in use and will be overwritten in its turn."""
    held = builder.instances.get(folder)
    if held is None:
        return False
    idle = version.in_place and folder in builder.idle()
    return not idle or builder.releases[held[0]].slots[held[1]].instance_id == version.instance_id


def _why(step: Step, slot: str, reference: str, upstream: Sequence[str]) -> str:
    beside = "is there before anything is served by it" if step.group.first else "runs beside what serves now"
    why = f"{slot} {reference} {beside}"
    return f"{why}; after {', '.join(upstream)}: the data flows that way" if upstream else why


def _evaluations(builder: PlanBuilder, step: Step, made: Made, above: Above) -> list[Operation]:
    operations = []
    for track, release in step.after.items():
        rule = builder.lines[track].rollout
        # What is overwritten later can't be tried before: it is not there yet.
        if step.kind != "side-by-side" or any(s.in_place for s in release.slots.values()) or not rule.evaluate:
            continue
        ready = {ids[-1] for folder in instances_of(release) for ids in [made.get(folder, ())] if ids}
        covered = frozenset().union(*(above[name] for name in ready)) if ready else frozenset()
        for evaluate in rule.evaluate:
            operations.append(
                Operation(
                    id=builder.id(f"evaluate/{builder.prefix(track)}{step.name}@{evaluate.suite}", track),
                    kind="evaluate",
                    milestone=len(builder.milestones),
                    line=track,
                    release=release.id,
                    evaluate=evaluate,
                    after=tuple(sorted(ready - covered)),
                    why=f"the whole release must pass {evaluate.suite} before any traffic reaches it",
                )
            )
    return operations


__all__ = ["expand"]
