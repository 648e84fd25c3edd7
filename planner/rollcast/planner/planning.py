"""From live and declared state to a plan: groups become steps, steps become waves of milestones.

A wave expands (new instances beside the old, in upstream order), shifts (stage by stage, one group under analysis at a
time) and contracts (drains, then retires what no release uses). All groups share one wave while capacity allows, so
that the way back stays open as long as possible; where it does not, waves are narrower.
"""

from __future__ import annotations

from collections.abc import Mapping

from rollcast.planner.build import WaveBuilder
from rollcast.planner.capacity import excess, limits_of, need_of, sentence
from rollcast.planner.changes import diff
from rollcast.planner.declaration import Declaration, Environment
from rollcast.planner.errors import CapacityError, MixedLiveState, NoSafeOrder, PlannerError
from rollcast.planner.groups import group, in_place_slots
from rollcast.planner.plan import EVERYONE, LiveState, Plan, Serving, Share
from rollcast.planner.releases import Digests, Line, Release, SlotVersion, lines_of, releases_of
from rollcast.planner.safety import assert_safe
from rollcast.planner.steps import Step, instances_of, steps_of


def live_as_declared(declaration: Declaration, digests: Digests | None = None) -> LiveState:
    """The live state that another declaration describes: all of each line on its release."""
    releases = releases_of(declaration, digests)
    instances: dict[str, tuple[str, str]] = {}
    for release in releases.values():
        instances.update(instances_of(release))
    return LiveState(
        serving={line: (Share(line=line, percent=100.0, release=release.id),) for line, release in releases.items()},
        releases={release.id: release for release in releases.values()},
        instances=instances,
    )


def make_plan(
    declaration: Declaration,
    live: LiveState,
    environment: str | None = None,
    digests: Digests | None = None,
) -> Plan:
    """The plan that takes `live` to `declaration` in one environment.

    Raises MixedLiveState, NoSafeOrder, CapacityError (each says the remedy), or UnsafePlan on a defect of the planner.
    """
    name, settings = declaration.environment(environment)
    lines, declared = lines_of(declaration), releases_of(declaration, digests)
    before = _live_releases(live, declared)
    in_place = in_place_slots(before, declared)
    groups = group(before, declared, lines, in_place)
    steps = steps_of(groups, before, declared, lines)
    _refuse_impossible(steps, lines)
    start = {line: live.serving.get(line, ()) for line in {**declared, **live.serving}}
    builder = WaveBuilder(lines, settings, start, live.instances, live.releases)
    for wave in _waves(steps, builder, settings, lines):
        builder.wave(wave)
    gone = [line for line in live.serving if line not in declared and live.serving[line]]
    builder.remove_lines(gone)
    plan = Plan(
        pipeline=declaration.pipeline,
        environment=name,
        settings=settings,
        from_release={line: before[line].id if line in before else None for line in declared},
        to_release={line: release.id for line, release in declared.items()},
        live_state_digest=live.digest,
        changes=tuple(diff(before, declared)),
        groups=tuple(g.slots for g in groups),
        operations=tuple(builder.operations),
        milestones=tuple(builder.milestones),
        rollback=tuple(builder.rollbacks),
        notes=tuple(dict.fromkeys(builder.notes)),
        lines=lines,
        audiences={key: predicate.root for key, predicate in declaration.audiences.items()},
        releases=dict(sorted(builder.releases.items())),
        start=start,
        start_instances=dict(live.instances),
    )
    assert_safe(plan)
    return plan


def _live_releases(live: LiveState, declared: Mapping[str, Release]) -> dict[str, Release]:
    """The release that serves each declared line now; a new channel is served by its pipeline's default line."""
    found: dict[str, Release] = {}
    for line in declared:
        source = line if live.serving.get(line) else line.rsplit("/", 1)[0] + "/default" if "/" in line else "default"
        try:
            release = live.release_of(source)
        except LookupError:
            ids = ", ".join(sorted({share.release for share in live.serving[source]}))
            raise MixedLiveState(
                f"line '{source}' is split between {ids}: a rollout is under way there. "
                "Finish it with 'rollcast apply --resume', or lead it back with 'rollcast abort'."
            ) from None
        if release is not None:
            found[line] = release
    return found


def _refuse_impossible(steps: list[Step], lines: Mapping[str, Line]) -> None:
    for step in steps:
        rules = [lines[line].rollout for line in step.group.lines]
        if step.kind == "pause" and not all(rule.maintenance_pause for rule in rules):
            once = ", ".join(slot for owner, slot in step.group.members if owner.startswith("="))
            why = "; ".join(step.group.together)
            raise NoSafeOrder(
                f"{step.name} must switch together ({why}), but {once} can't run twice: no order is safe. "
                f"Give {once} room to run beside its old version for a moment (in_place: false), "
                "or declare 'rollout: {maintenance_pause: true}'."
            )
        for rule in rules:
            if rule.strategy == "flag" and step.kind != "flag":
                raise PlannerError(
                    f"strategy 'flag' toggles flags only, but {step.name} changes too. "
                    "Use 'canary' or 'staged' for this change, or leave the components as they are."
                )


def _waves(
    steps: list[Step], builder: WaveBuilder, environment: Environment, lines: Mapping[str, Line]
) -> list[list[Step]]:
    """Steps packed into waves, in order, as many in each as capacity allows while old and new run side by side."""
    limits = limits_of(environment)
    releases = dict(builder.releases)
    existing: dict[str, SlotVersion] = {
        path: releases[release].slots[slot]
        for path, (release, slot) in builder.instances.items()
        if release in releases
    }
    waves: list[list[Step]] = []
    wave: list[Step] = []
    for step in steps:
        fresh = {p: r.slots[s] for r in step.after.values() for p, (_, s) in instances_of(r).items()}
        together = {**existing, **fresh}
        over = excess(need_of(together.values(), environment), limits)
        if over and wave:
            waves.append(wave)
            existing = _after_contract(existing, steps, step, builder)
            wave, together = [], {**existing, **fresh}
            over = excess(need_of(together.values(), environment), limits)
        if over:
            remedy = "Raise the capacity for the time of the rollout, declare smaller 'needs', or 'in_place: true'."
            raise CapacityError(f"{step.name} does not fit beside what runs: {sentence(over)}. {remedy}")
        existing = together
        wave.append(step)
        builder.narrowed = len(waves) > 0
    return [*waves, wave] if wave else waves


def _after_contract(
    existing: Mapping[str, SlotVersion], steps: list[Step], upto: Step, builder: WaveBuilder
) -> dict[str, SlotVersion]:
    """What is left once everything that no line uses before step `upto` is retired."""
    current = {line: next((s.release for s in shares), None) for line, shares in builder.serving.items()}
    used: dict[str, SlotVersion] = {}
    latest: dict[str, Release] = {
        line: builder.releases[release] for line, release in current.items() if release is not None
    }
    for step in steps:
        if step is upto:
            break
        latest.update(step.after)
    for release in latest.values():
        used.update({path: release.slots[slot] for path, (_, slot) in instances_of(release).items()})
    return {path: slot for path, slot in used.items() if path in existing}


__all__ = ["EVERYONE", "LiveState", "Serving", "live_as_declared", "make_plan"]
