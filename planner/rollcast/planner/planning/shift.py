"""Shift: traffic moves to a step's releases, stage by stage; slots that exist once are overwritten between drains.

Long because stages and changes in place are two forms of one shift.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollcast.planner.declaration.models import RolloutSettings, Stage, Strategy
from rollcast.planner.plan.models import EVERYONE, Operation, Serving, Share
from rollcast.planner.planning.builder import PlanBuilder
from rollcast.planner.planning.sessions import audience_of, unreadable
from rollcast.planner.planning.steps import Step, instances_of
from rollcast.planner.releases.releases import Release
from rollcast.planner.routing.residency import in_turn


def shift(builder: PlanBuilder, step: Step) -> None:
    """The milestones that take a step's tracks from its old releases to its new ones."""
    if step.kind == "in-place":
        _in_place(builder, step)
    elif step.kind == "pause":
        _pause(builder, step)
    else:
        for track, release in step.after.items():
            _track(builder, step, track, release)


def stages_of(rule: RolloutSettings) -> tuple[Stage, ...]:
    """The stages that a strategy stands for."""
    if rule.strategy in (Strategy.BLUE_GREEN, Strategy.ALL_AT_ONCE):
        return (Stage(percent=(100.0,)),)
    if rule.strategy is Strategy.CANARY or not rule.stages:
        return (Stage(percent=rule.percent),)
    return rule.stages


# ---- side by side -----------------------------------------------------------------------------


def _track(builder: PlanBuilder, step: Step, track: str, release: Release) -> None:
    old, rule = step.before[track], builder.lines[track].rollout
    if old is None:
        _shift(builder, step, track, (_share(track, EVERYONE, 100.0, release),), None, rule)
        return
    staying = _staying(builder, step, track, old, rule)
    settled: list[Share] = []
    stages = stages_of(rule)
    for number, stage in enumerate(stages):
        for percent in stage.percent:
            shares = _shares(track, staying, settled, stage.audience, percent, old, release)
            _shift(builder, step, track, shares, (number, stage, percent), rule)
        settled += _split(track, stage.audience, stage.percent[-1], old, release)
    if staying:
        _sessions_end(builder, step, track, release, rule)


def _staying(builder: PlanBuilder, step: Step, track: str, old: Release, rule: RolloutSettings) -> tuple[Share, ...]:
    """Sessions that finish on the release that they began with, because the new one can't read their state."""
    found = list(unreadable(step, track, back=False))
    if not found:
        return ()
    audience, predicate = audience_of(old)
    builder.audiences[audience] = predicate
    builder.notes.extend(
        f"{slot} {new.reference} can't read the session state of {before.reference}: sessions finish on the release "
        f"that they began with, for at most {rule.session:g} s."
        for slot, new, before in found
    )
    return (_share(track, audience, 100.0, old),)


def _sessions_end(builder: PlanBuilder, step: Step, track: str, release: Release, rule: RolloutSettings) -> None:
    wait = builder.drain(
        f"{builder.prefix(track)}{step.name}/sessions", (), "sessions finish on the release they began with"
    )
    wait = wait.model_copy(update={"wait_s": rule.session, "line": track})
    shift = _all_at_once(builder, step, track, release, (wait.id,), "no session of the old release is left")
    title = f"sessions have ended{builder.shown(track, step.name)}"
    serving: Serving = {track: (_share(track, EVERYONE, 100.0, release),)}
    builder.milestone("shift", title, [wait, shift], serving, step=step.name, lines=(track,))


def _shares(
    track: str,
    staying: Sequence[Share],
    settled: Sequence[Share],
    audience: str,
    percent: float,
    old: Release,
    new: Release,
) -> tuple[Share, ...]:
    if audience == EVERYONE and percent == 100:
        return (*staying, _share(track, EVERYONE, 100.0, new))
    shares = [*staying, *settled, *_split(track, audience, percent, old, new)]
    if audience != EVERYONE:
        shares.append(_share(track, EVERYONE, 100.0, old))
    return tuple(shares)


def _split(track: str, audience: str, percent: float, old: Release, new: Release) -> list[Share]:
    shares = [_share(track, audience, percent, new)]
    if percent < 100:
        shares.append(_share(track, audience, round(100 - percent, 3), old))
    return shares


def _share(track: str, audience: str, percent: float, release: Release) -> Share:
    return Share(line=track, audience=audience, percent=percent, release=release.id)


def _shift(
    builder: PlanBuilder,
    step: Step,
    track: str,
    shares: tuple[Share, ...],
    stage: tuple[int, Stage, float] | None,
    rule: RolloutSettings,
) -> None:
    audience, percent = (stage[1].audience, stage[2]) if stage else (EVERYONE, 100.0)
    bake = (stage[1].bake if stage else None) or rule.bake
    gates = (stage[1].gates if stage and stage[1].gates is not None else rule.gates) if stage else ()
    kind = "flag" if step.kind == "flag" else "shift"
    operation = Operation(
        id=builder.id(f"{kind}/{builder.prefix(track)}{step.name}/{audience}@{percent:g}", track),
        kind="flag" if kind == "flag" else "shift", milestone=len(builder.milestones),
        line=track, release=step.after[track].id, component=step.name, why=_why(step, stage, rule), after=builder.sinks,
    )  # fmt: skip
    details = {
        "step": step.name, "lines": (track,), "audience": audience, "percent": percent,
        "stage": stage[0] if stage and rule.stages and stages_of(rule) is rule.stages else None,
        "gates": tuple(gate.metric for gate in gates),
        "bake_min_s": bake.min if stage else 0.0, "bake_max_s": bake.max, "bake_then": bake.then,
        "min_sample": (stage[1].min_sample if stage else None) or (rule.min_sample if stage else 0),
        "confirm": builder.confirmations(step.name, (track,), audience, percent),
    }  # fmt: skip
    title = f"{percent:g} % of {audience}{builder.shown(track, step.name)}"
    builder.milestone("shift", title, [operation], {track: shares}, **details)


def _why(step: Step, stage: tuple[int, Stage, float] | None, rule: RolloutSettings) -> str:
    if stage is None:
        return "nothing was served before, so there is no baseline: everyone at once"
    number, _, percent = stage
    if (number, percent) != (0, stages_of(rule)[0].percent[0]):
        return "the stage before has proved what it must"
    if step.group.after:
        return "; ".join(step.group.after)
    if step.group.together:
        return "switch together: " + "; ".join(step.group.together)
    return "upstream before downstream; one group under analysis at a time, so that a regression has one suspect"


# ---- in place ---------------------------------------------------------------------------------


def _in_place(builder: PlanBuilder, step: Step) -> None:
    """A single slot that exists once: drain what it may not serve, overwrite it, put its version in the tags."""
    operations: list[Operation] = []
    stale = builder.stale()
    if stale:
        why = "; ".join(step.group.after) or "no request of an earlier step may reach what is about to be overwritten"
        operations.append(builder.drain(step.name, stale, why))
    operations += _swap(builder, step, operations[-1:])
    shares: Serving = {track: (_share(track, EVERYONE, 100.0, release),) for track, release in step.after.items()}
    waits = tuple(operation.id for operation in operations if operation.kind == "provision")
    waits = waits or tuple(operation.id for operation in operations)
    for track, release in step.after.items():
        operations.append(
            _all_at_once(builder, step, track, release, waits, "requests are tagged with what serves them")
        )
    builder.notes.extend(
        f"{slot} {new.reference} can't read the session state of {old.reference}, and both can't run: sessions that "
        "are under way lose what they remembered."
        for track in step.after
        for slot, new, old in unreadable(step, track, back=False)
    )
    builder.notes.append(f"{_joined(step)} changes in place: all of its traffic at once, with no concurrent baseline.")
    details = {**_bake(builder, step), "confirm": builder.confirmations(step.name, tuple(step.after))}
    builder.milestone("shift", f"in place: {_joined(step)}", operations, shares, **details)


def _pause(builder: PlanBuilder, step: Step) -> None:
    """A group that can't run twice, with a declared maintenance pause: stop, drain, overwrite, resume."""
    stops = [
        Operation(
            id=builder.id(f"shift/{builder.prefix(track)}{step.name}/pause", track), kind="shift", line=track,
            milestone=len(builder.milestones), component=step.name,
            why="maintenance pause: " + "; ".join(step.group.together),
        )
        for track in step.after
    ]  # fmt: skip
    stops, last = in_turn(stops, builder.lines, builder.serving, {})
    stopped = {share.release for track in step.after for share in builder.serving.get(track, ())}
    everything = tuple(sorted({*stopped, *builder.stale()}))
    drain = builder.drain(step.name, everything, "nothing may be in flight while the group is overwritten")
    drain = drain.model_copy(update={"after": last})
    details = {"step": step.name, "lines": tuple(step.after)}
    confirm = builder.confirmations(step.name, tuple(step.after))  # while they still are served
    ended: Serving = dict.fromkeys(step.after, ())
    builder.milestone("pause", f"pause: {_joined(step)}", [*stops, drain], ended, **details, confirm=confirm)
    builder.milestone("pause", f"in place: {_joined(step)}", _swap(builder, step, []), {}, **details)
    resumes = [
        _all_at_once(builder, step, track, release, (), "the group is whole again")
        for track, release in step.after.items()
    ]
    shares: Serving = {track: (_share(track, EVERYONE, 100.0, release),) for track, release in step.after.items()}
    resumes, _ = in_turn(resumes, builder.lines, {}, shares)
    builder.notes.append(f"{_joined(step)} needs a maintenance pause: no request is served while it is overwritten.")
    builder.milestone("shift", f"resume: {_joined(step)}", resumes, shares, **_bake(builder, step))


def _swap(builder: PlanBuilder, step: Step, waits_for: Sequence[Operation]) -> list[Operation]:
    swaps: dict[str, Operation] = {}
    for release in step.after.values():
        for folder, (_, slot) in instances_of(release).items():
            if slot not in step.group.slots or folder in swaps or not release.slots[slot].in_place:
                continue
            held = builder.instances.get(folder)
            version = release.slots[slot]
            if held and builder.releases[held[0]].slots[held[1]].instance_id == version.instance_id:
                continue
            swaps[folder] = Operation(
                id=builder.id(f"provision/{builder.slot_name(release, slot)}@{version.artifact.version}", folder),
                kind="provision",
                milestone=len(builder.milestones),
                component=slot,
                artifact=version.reference,
                instance=folder,
                release=release.id,
                in_place=True,
                after=tuple(op.id for op in waits_for),
                why=_why_overwritten(builder, release.pipeline, slot),
            )
    return list(swaps.values())


def _joined(step: Step) -> str:
    return " + ".join(step.group.slots)


def _why_overwritten(builder: PlanBuilder, pipeline: str, slot: str) -> str:
    missing = builder.for_room.get((pipeline, slot))
    if missing is None:
        return f"{slot} can't run twice, so it is overwritten"
    return f"both versions of {slot} don't fit ({missing}), so it is overwritten"


def _all_at_once(
    builder: PlanBuilder, step: Step, track: str, release: Release, waits: tuple[str, ...], why: str
) -> Operation:
    return Operation(
        id=builder.id(f"shift/{builder.prefix(track)}{step.name}/everyone@100", track), kind="shift", line=track,
        milestone=len(builder.milestones), release=release.id, component=step.name, after=waits, why=why,
    )  # fmt: skip


def _bake(builder: PlanBuilder, step: Step) -> dict[str, object]:
    rule = builder.lines[step.group.lines[0]].rollout
    return {
        "step": step.name, "lines": step.group.lines, "audience": EVERYONE, "percent": 100.0,
        "gates": tuple(gate.metric for gate in rule.gates), "bake_min_s": rule.bake.min,
        "bake_max_s": rule.bake.max, "bake_then": rule.bake.then, "min_sample": rule.min_sample,
    }  # fmt: skip


__all__ = ["shift", "stages_of"]
