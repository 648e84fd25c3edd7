"""From live and declared state to a plan: groups become steps, steps become waves of milestones.

A wave expands (new instances beside the old, in upstream order), shifts (stage by stage, one group under analysis at a
time) and contracts (drains, then retires what no release uses). All groups share one wave while capacity allows, so
that the rollback stays open as long as possible; where it does not, waves are narrower.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from rollcast.planner.base.errors import MixedLiveState, NoSafeOrder, PlannerError
from rollcast.planner.base.wording import some_of
from rollcast.planner.capacity.in_place import PAUSE, Chosen, Releases, apart, with_room
from rollcast.planner.contracts.groups import (
    IN_PLACE,
    Node,
    SynchronizationGroup,
    Tie,
    declared_ties,
    group,
    in_place_slots,
    node_of,
)
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import LiveState, Operation, Plan, Reroute, Serving, Share
from rollcast.planner.planning.between import between, switched
from rollcast.planner.planning.builder import PlanBuilder
from rollcast.planner.planning.sessions import Claims, as_declared, claims_of, unsaid
from rollcast.planner.planning.steps import Step, instances_of, steps_of
from rollcast.planner.planning.waves import add_wave, begin, remove, waves_of
from rollcast.planner.releases.changes import Change, diff
from rollcast.planner.releases.lineage import to_rebuild
from rollcast.planner.releases.releases import Digests, Release, Track, canonical, default_of, releases_of, tracks_of
from rollcast.planner.routing.rerouting import Crossing, crossing_of
from rollcast.planner.routing.residency import in_turn, outside, overlap, runs_in
from rollcast.planner.safety.invariants import assert_safe


def live_as_declared(declaration: Declaration, digests: Digests | None = None) -> LiveState:
    """The live state that another declaration describes: all of each track on its release."""
    releases = releases_of(declaration, digests)
    instances: dict[str, tuple[str, str]] = {}
    for release in releases.values():
        instances.update(instances_of(release))
    return LiveState(
        serving={track: (Share(line=track, percent=100.0, release=release.id),) for track, release in releases.items()},
        releases={release.id: release for release in releases.values()},
        instances=instances,
        lines=tracks_of(declaration),
    )


def make_removal(declaration: Declaration, live: LiveState, environment: str | None = None) -> Plan:
    """The plan that takes everything down: all tracks end, their requests are drained, what served them is retired.

    Raises MixedLiveState where a rollout is under way, or UnsafePlan on a defect of the planner.
    """
    name, settings = declaration.environment(environment)
    tracks = {**tracks_of(declaration), **live.lines}
    before = {track: release for track in live.serving if (release := _release_of(live, track)) is not None}
    builder = PlanBuilder(tracks, settings, live.serving, live.instances, live.releases, live.lines)
    _remove_lines(builder, sorted(before))
    return whole_plan(
        builder, live, declaration.pipeline, name,
        from_release={track: release.id for track, release in before.items()},
        to_release={},
        changes=tuple(_removed(live, sorted(before))),
        groups=(),
        notes=("Everything that serves is taken down, and no request is served afterwards.",) if before else (),
        audiences={},
        start=dict(live.serving),
    )  # fmt: skip


def whole_plan(
    builder: PlanBuilder, live: LiveState, pipeline: str, environment: str, *,
    from_release: dict[str, str | None], to_release: dict[str, str], changes: tuple[Change, ...],
    groups: tuple[tuple[str, ...], ...], notes: tuple[str, ...], audiences: dict[str, Any], start: Serving,
    reroutes: tuple[Reroute, ...] = (),
) -> Plan:  # fmt: skip
    """The plan that has grown, with what it is about. Raises UnsafePlan on a defect of the planner."""
    plan = Plan(
        pipeline=pipeline,
        environment=environment,
        # who hears of it is no part of it, and who confirms stands with the milestones
        settings=builder.environment.model_copy(update={"notify": (), "confirm": ()}),
        from_release=from_release,
        to_release=to_release,
        live_state_digest=live.digest,
        changes=changes,
        groups=groups,
        operations=tuple(builder.operations),
        milestones=tuple(builder.milestones),
        rollback=tuple(builder.rollbacks),
        notes=notes,
        lines=dict(builder.lines),
        audiences=audiences,
        releases=dict(sorted(builder.releases.items())),
        start=start,
        start_instances=dict(live.instances),
        reroutes=reroutes,
    )
    assert_safe(plan)
    return plan


@contextmanager
def _collecting_later() -> Iterator[None]:
    """No garbage collection while a plan grows: all of it lives as long as the plan, so looking for garbage only costs.

    On 10,000 instances that was two fifths of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_collecting_later()
def make_plan(
    declaration: Declaration,
    live: LiveState,
    environment: str | None = None,
    digests: Digests | None = None,
) -> Plan:
    """The plan that takes `live` to `declaration` in one environment.

    Raises MixedLiveState, NoSafeOrder, CapacityError (each says the remedy), or UnsafePlan on a defect of the planner.
    """
    tracks, released = tracks_of(declaration), releases_of(declaration, digests)
    everywhere = tuple(declaration.environment(environment)[1].regions)
    now = {track: release for track in live.serving if (release := _release_of(live, track)) is not None}
    came_from = _live_releases(live, released, tracks, everywhere, {})
    crossing = crossing_of(live, now, tracks, released, came_from, everywhere)
    tracks = {**crossing.carriers, **tracks}
    carried = {track: released[heir] for track, heir in crossing.heirs.items()}
    declared = apart(live, {**released, **carried})
    said = claims_of(declaration.artifacts, digests or {})
    before = _live_releases(live, declared, tracks, everywhere, crossing.sources)

    def attempt(live: LiveState, declared: Releases, chosen: Chosen) -> Plan:
        planned = partial(_plan, declaration, environment, live, tracks, declared, chosen, crossing, said)
        try:
            return planned()
        except _OnceTogether as refused:
            with suppress(PlannerError):
                return planned(step_by_step=True)
            raise refused from None

    return with_room(live, declared, before, attempt)


def _plan(
    declaration: Declaration,
    environment: str | None,
    live: LiveState,
    tracks: Mapping[str, Track],
    declared: Releases,
    chosen: Chosen,
    crossing: Crossing,
    said: Claims,
    step_by_step: bool = False,
) -> Plan:
    name, settings = declaration.environment(environment)
    everywhere, leaving = tuple(settings.regions), tuple(crossing.carriers)
    before = _live_releases(live, declared, tracks, everywhere, crossing.sources)
    in_place = in_place_slots(before, declared)
    begins = {track: release for track, release in before.items() if not live.serving.get(track)}
    begun_as = as_declared(before, said)
    in_order = _step_by_step if step_by_step else _in_order
    groups, steps, asunder = in_order(begun_as, declared, tracks, in_place)
    _refuse_impossible(steps, tracks)
    _refuse_late_channels(before, declared, tracks, live, everywhere)
    start = {track: live.serving.get(track, ()) for track in {**declared, **live.serving}}
    builder = PlanBuilder(tracks, settings, start, live.instances, live.releases, live.lines)
    gone = [track for track in sorted(live.serving) if track not in declared and live.serving[track]]
    _remove_lines(builder, gone)
    builder.begins, builder.for_room = dict(begins), chosen
    rerouted = _reroute(builder, live, crossing)
    builder.notes.extend((*_for_room(chosen, tracks), *asunder))
    waves = waves_of(steps, builder)
    for number, (wave, narrowed) in enumerate(waves, 1):
        add_wave(builder, wave, narrowed, leaving if number == len(waves) else ())
    begun = list(builder.begins)
    begin(builder, begun)
    if not waves:
        _remove_lines(builder, leaving, begun)
    _say_contracts(builder, before, declared, live)
    builder.notes.extend(dict.fromkeys(text for step in steps for text in unsaid(step)))
    lost = dict.fromkeys(text for way in builder.rollbacks for text in way.loses)
    builder.notes.extend(f"After a rollback: {text}." for text in lost)
    builder.notes.extend(_by_name(declared))
    builder.notes.extend(to_rebuild(declared.values(), declaration.artifacts))
    return whole_plan(
        builder, live, declaration.pipeline, name,
        from_release={ln: before[ln].id if ln in before else None for ln in declared if ln not in leaving},
        to_release={track: release.id for track, release in declared.items() if track not in leaving},
        changes=(
            *rerouted,
            *_removed(live, (*gone, *(track for track in leaving if live.serving.get(track))), crossing),
            *_gone_elsewhere(crossing, tracks, declared, before, live),
            *_new_channels(before, declared, live, crossing),
            *diff(before, declared),
        ),
        groups=tuple(g.slots for g in groups),
        notes=tuple(dict.fromkeys(builder.notes)),
        audiences={**{key: p.root for key, p in declaration.audiences.items()}, **builder.audiences},
        start=start,
        reroutes=_as_planned(crossing, declared, before),
    )  # fmt: skip


def _live_releases(
    live: LiveState,
    declared: Mapping[str, Release],
    tracks: Mapping[str, Track],
    everywhere: tuple[str, ...],
    sources: Mapping[str, str],
) -> dict[str, Release]:
    """The release that each declared track comes from; of those that carry requests, that of their source.

    A new channel of a pipeline that is served comes from what its default channel serves now, for that is what its
    requests reach; unless it may not serve them: then it comes from nothing.
    """
    found: dict[str, Release] = {}
    for track in [*declared, *live.serving]:
        release = _release_of(live, sources.get(track, track))
        if track in declared and release is None:
            release = _release_of(live, default_of(track)) if default_of(track) in declared else None
            if release is not None and any(outside(tracks[track], release, everywhere)):
                release = None
        if track in declared and release is not None:
            found[track] = release
    return found


def _by_name(declared: Mapping[str, Release]) -> list[str]:
    """What of the releases to come is pinned by its name alone."""
    slots = [slot.artifact for release in declared.values() for slot in release.slots.values()]
    named = sorted({f"{artifact.reference} ({artifact.source})" for artifact in slots if artifact.by_name})
    return [f"Pinned by name, not by content: {some_of(named, 6)}."] if named else []


def _as_planned(crossing: Crossing, declared: Releases, before: Releases) -> tuple[Reroute, ...]:
    """Who goes another way, with the ends of the tracks that carry them as the plan has them."""
    return tuple(
        reroute.model_copy(update={"from_release": before[reroute.line].id, "to_release": declared[reroute.line].id})
        if reroute.line
        else reroute
        for reroute in crossing.reroutes
    )


def _removed(live: LiveState, gone: Sequence[str], crossing: Crossing | None = None) -> list[Change]:
    """Tracks that serve and are no longer declared."""
    heirs = crossing.heirs if crossing else {}
    return [
        Change(
            line=name, component="route", action="delete",
            reason=f"no longer declared: its requests go on to {heirs[name]} by stages, and then it ends"
            if name in heirs
            else f"no longer declared: {name}'s requests go on to the channels after it"
            if name != default_of(name)
            else "taken down: nothing serves its requests afterwards",
            **{"from": canonical(live.lines[name].route) if name in live.lines else name},
        )
        for name in gone
    ]  # fmt: skip


def _gone_elsewhere(
    crossing: Crossing, tracks: Mapping[str, Track], declared: Releases, before: Releases, live: LiveState
) -> Iterator[Change]:
    """Every other re-route: which requests, from which track and release to which, and how."""
    for one in crossing.reroutes:
        if one.line and one.line not in crossing.sources:
            continue  # the channel that ends says it
        if one.moves == "with it" and not live.serving.get(one.target) and one.source == default_of(one.source):
            continue  # a new channel's own beginning says it
        to = declared[one.target].id
        how = {
            "by stages": f"from {one.from_release} to {to}, by stages and gates as {one.line}",
            "with it": f"both serve {one.from_release} now, so nobody changes release by it",
            "at once": f"from {one.from_release}, all at once, for {one.target} does not allow where that runs",
        }[one.moves]
        yield Change(
            line=one.line or one.target, component="route", action="update",
            reason=f"requests of {one.source} that match {canonical(one.where)} go to {one.target}: {how}",
            **{"from": one.source, "to": one.target},
        )  # fmt: skip


def _for_room(chosen: Chosen, tracks: Mapping[str, Track]) -> Iterator[str]:
    """What follows from a change in place that nobody declared."""
    for (pipeline, slot), missing in chosen.items():
        suites = any(track.rollout.evaluate for track in tracks.values() if track.pipeline == pipeline)
        untried = " Its suites can't be run before traffic reaches it." if suites else ""
        yield (
            f"{slot} changes in place because its two versions don't fit beside each other ({missing}). "
            f"To go back is to overwrite it again: not at once, but as long as it takes to start.{untried}"
        )


def _release_of(live: LiveState, track: str) -> Release | None:
    try:
        return live.release_of(track)
    except LookupError:
        ids = ", ".join(sorted({share.release for share in live.serving[track]}))
        raise MixedLiveState(
            f"channel '{track}' is split between {ids}: a rollout is under way there. "
            "Finish it with 'rollcast apply --resume', or roll it back with 'rollcast abort'. Where the ledger that "
            "knew it is lost, 'rollcast recover --to RELEASE' moves everybody to one of them."
        ) from None


def _new_channels(before: Releases, declared: Releases, live: LiveState, crossing: Crossing) -> list[Change]:
    """Channels that are new beside a default channel that serves."""
    reason = "its requests get a channel of their own"
    return [
        Change(line=track, component="route", action="create", to=track, reason=reason)
        for track in declared
        if not live.serving.get(track)
        and track != default_of(track)
        and default_of(track) in before
        and track not in crossing.carriers
    ]


def _refuse_late_channels(
    before: Mapping[str, Release],
    declared: Mapping[str, Release],
    tracks: Mapping[str, Track],
    live: LiveState,
    everywhere: tuple[str, ...],
) -> None:
    """A channel that must begin before its default channel moves can't wait for what changes in place."""
    for track, release in declared.items():
        if track in before or track == default_of(track) or default_of(track) not in before:
            continue
        for folder, (_, slot) in release.instances.items():
            held = live.instances.get(folder)
            version = release.slots[slot]
            if held and live.releases[held[0]].slots[held[1]].instance_id != version.instance_id:
                default = default_of(track)
                never, old = next(outside(tracks[track], before[default], everywhere))
                raise NoSafeOrder(
                    f"channel '{track}' must begin before {default} moves, for its requests may not reach {never} "
                    f"{old.reference} "
                    f"in {', '.join(runs_in(old, everywhere))}; but {slot} exists once and changes too",
                    f"Release the channel in a plan of its own first, with {slot} as it is now.",
                )


def _in_order(
    before: Mapping[str, Release], declared: Releases, tracks: Mapping[str, Track], in_place: frozenset[Node]
) -> tuple[list[SynchronizationGroup], list[Step], list[str]]:
    """Groups and steps, and notes on what its rollout switches together and this plan does not.

    A tie that only a declared pause would allow is left out, or what exists once is left out of it, where an order
    without it is safe.
    """

    def ordered(ties: Sequence[Tie]) -> tuple[list[SynchronizationGroup], list[Step]]:
        groups = group(before, declared, in_place, ties)
        return groups, steps_of(groups, before, declared, tracks)

    ties = [tie for tie in declared_ties(before, declared, tracks) if len(tie.slots) > 1]
    found = ordered(ties)
    if not ties or not any(_not_allowed(step, tracks) for step in found[1]):
        return *found, []
    found, kept, notes = ordered(()), list[Tie](), list[str]()
    for tie in ties:
        nodes = {slot: node_of(tie.line, declared[tie.line].pipeline, slot, in_place) for slot in tie.slots}
        twice = tuple(slot for slot, node in nodes.items() if not node[0].startswith(IN_PLACE))
        for tried in (tie, replace(tie, slots=twice)):
            attempt = ordered([*kept, tried])
            if not any(_not_allowed(step, tracks) for step in attempt[1]):
                found = attempt
                kept.append(tried)
                break
        if tie not in kept:
            notes.append(
                f"{' + '.join(tie.slots)} of {tie.line} do not switch in one step ({tie.reason}), because what can't "
                f"run twice is overwritten in a step of its own. Declare {PAUSE} to have them switch together."
            )
    return *found, notes


def _step_by_step(
    before: Mapping[str, Release], declared: Releases, tracks: Mapping[str, Track], in_place: frozenset[Node]
) -> tuple[list[SynchronizationGroup], list[Step], list[str]]:
    """Groups and steps by way of releases in between, each step one group. Raises NoSafeOrder where there is no way."""
    way = between(before, declared, in_place)
    if not way:
        raise NoSafeOrder("no order of single steps is safe", "")
    groups: list[SynchronizationGroup] = []
    steps: list[Step] = []
    for old, new in pairwise((before, *way, declared)):
        ties = [
            Tie(track, slots, "only together are they safe") for track, slots in switched(old, new) if len(slots) > 1
        ]
        own = group({track: old[track] for track in before}, new, in_place, ties)
        groups += own
        steps += steps_of(own, old, new, tracks)
    note = (
        "What can't run twice would have to switch together with its wiring, so the plan goes by way of releases that "
        "have the wiring of one side and versions of either."
    )
    return groups, steps, [note]


def _not_allowed(step: Step, tracks: Mapping[str, Track]) -> bool:
    """Whether a step needs a maintenance pause that is not declared."""
    return step.kind == "pause" and not all(tracks[track].rollout.maintenance_pause for track in step.group.lines)


class _OnceTogether(NoSafeOrder):
    """What can't run twice is in a group that must switch together."""


def _refuse_impossible(steps: list[Step], tracks: Mapping[str, Track]) -> None:
    for step in steps:
        rules = [tracks[track].rollout for track in step.group.lines]
        if _not_allowed(step, tracks):
            once = ", ".join(slot for owner, slot in step.group.members if owner.startswith("="))
            why = "; ".join(step.group.together)
            raise _OnceTogether(
                f"{step.name} must switch together ({why}), but {once} can't run twice: no order is safe",
                f"Give {once} room to run beside its old version for a moment (in_place: false), or declare {PAUSE}.",
            )
        for rule in rules:
            if rule.strategy == "flag" and step.kind != "flag":
                raise PlannerError(
                    f"strategy 'flag' toggles flags only, but {step.name} changes too. "
                    "Use 'canary' or 'staged' for this change, or leave the components as they are."
                )


def _reroute(builder: PlanBuilder, live: LiveState, crossing: Crossing) -> list[Change]:
    """Routing rules that are not as declared: they change first and at once, for the flag holds one set of them.

    In the same write begin the tracks that carry requests elsewhere, and the new channels beside them, each on what
    serves its requests today.
    """
    changes = [
        Change(
            line=name, component="route", action="update", reason="other requests go this way",
            **{"from": canonical(live.lines[name].route), "to": canonical(track.route)},
        )
        for name, track in builder.lines.items()
        if live.serving.get(name) and name in live.lines and live.lines[name].route != track.route
    ]  # fmt: skip
    changes += _orders(builder.lines, live)
    own = {builder.lines[name].pipeline for name in (*crossing.sources, *(change.line for change in changes))}
    if not own:
        return []
    names = list(dict.fromkeys(change.line for change in changes))
    begun = [track for track in builder.begins if builder.lines[track].pipeline in own]
    releases = {track: builder.begins.pop(track) for track in begun}
    operations = [
        Operation(
            id=builder.id(f"shift/{name}/route", name), kind="shift", milestone=len(builder.milestones), line=name,
            component="routing", why="the routing rule is another one; what serves stays",
        )
        for name in names
    ]  # fmt: skip
    operations += [
        Operation(
            id=builder.id(f"shift/{name}/begin", name), kind="shift", milestone=len(builder.milestones), line=name,
            component="routing", release=release.id, why="its requests are served as today while the rules change",
        )
        for name, release in releases.items()
    ]  # fmt: skip
    title = f"routing rules: {', '.join((*names, *begun))}"
    serving: Serving = {ln: (Share(line=ln, percent=100.0, release=r.id),) for ln, r in releases.items()}
    operations, _ = in_turn(operations, builder.lines, builder.serving, {**builder.serving, **serving})
    details = {"step": "routing", "lines": (*names, *begun), "point_of_no_return": True}
    builder.milestone("shift", title, operations, serving, **details)
    builder.notes.append(
        f"Routing rules ({', '.join((*names, *begun))}) change first and at once, for a pipeline's flag holds one set "
        "of them for everything that is under way. So that is a point of no return of its own: a rollback of what "
        "follows leaves them. To take them back, declare the old ones and plan again."
    )
    builder.wave += 1
    return [change for change in changes if change.line not in crossing.carriers]


def _orders(tracks: Mapping[str, Track], live: LiveState) -> Iterator[Change]:
    """Channels that are tried in another order, where some request matches the routes of two that change places."""
    there = sorted(
        (track for name, track in live.lines.items() if live.serving.get(name) and name in tracks), key=_turn
    )
    for place, one in enumerate(there):
        for other in there[place + 1 :]:
            if one.pipeline != other.pipeline or tracks[one.id].turn <= tracks[other.id].turn:
                continue
            if overlap(tracks[one.id], tracks[other.id]):
                yield Change(
                    line=other.id, component="route", action="update",
                    reason=f"{other.id} is tried before {one.id}: the first route that matches takes a request",
                    **{"from": f"{one.id}, {other.id}", "to": f"{other.id}, {one.id}"},
                )  # fmt: skip


def _turn(track: Track) -> tuple[bool, int]:
    return track.turn


def _say_contracts(builder: PlanBuilder, before: Releases, declared: Releases, live: LiveState) -> None:
    """Contracts that are declared of what serves: its definition learns them, so that later plans honour them.

    Where a pipeline's flag is written anyway, it learns them then.
    """
    written = {builder.lines[o.line].pipeline for o in builder.operations if o.line and o.kind in ("shift", "flag")}
    for release in declared.values():
        if release.id in builder.releases:
            builder.releases[release.id] = builder.releases[release.id].saying(release)
    names = [
        name for name, release in declared.items()
        if live.serving.get(name) and name in before and before[name].saying(release) is not before[name]
        and release.pipeline not in written
    ]  # fmt: skip
    if not names:
        return
    operations = [
        Operation(
            id=builder.id(f"shift/{name}/contracts", name), kind="shift", milestone=len(builder.milestones), line=name,
            component="contracts", why="what serves says more of itself; nothing else changes",
        )
        for name in names
    ]  # fmt: skip
    details = {"step": "contracts", "lines": tuple(names), "point_of_no_return": True}
    builder.milestone("shift", f"contracts of what serves: {', '.join(names)}", operations, {}, **details)
    builder.notes.append(
        "Contracts of what serves are written down: nobody is served otherwise, and later plans honour them."
    )
    builder.wave += 1


def _remove_lines(builder: PlanBuilder, gone: Sequence[str], begun: Sequence[str] = ()) -> None:
    """Tracks that are no longer declared, where nothing else moves or nothing takes their place.

    The rollback ends the tracks that have begun in the same wave, too.
    """
    if gone:
        origin: Serving = {**{track: builder.serving[track] for track in gone}, **dict.fromkeys(begun, ())}
        remove(builder, gone, (), origin, ())
        builder.contract(gone)
        builder.wave += 1


__all__ = ["LiveState", "Serving", "live_as_declared", "make_plan", "make_removal", "whole_plan"]
