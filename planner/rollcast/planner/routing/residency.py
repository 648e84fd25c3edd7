"""Residency: the regions that a track's requests never leave, and by which tracks while their own serves nothing.

Residency is containment: what serves a request runs only in regions that its track allows, for what also runs elsewhere
may serve it there.

A request goes to the first track whose route matches and that serves anything. So a channel that is not released yet,
or that is stopped, leaves its requests to the tracks after it, and what these serve then must be allowed for it too.
What a track's requests reach already when a plan begins is not the plan's doing, and is not judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rollcast.planner.base.audiences import parse, satisfiable
from rollcast.planner.plan.models import Operation, Serving
from rollcast.planner.releases.releases import Release, SlotVersion, Track


def runs_in(version: SlotVersion, everywhere: Iterable[str]) -> tuple[str, ...]:
    """The regions of a slot; one that names none runs everywhere: in every region of the environment."""
    return version.regions or tuple(everywhere)


def outside(track: Track, release: Release, everywhere: Iterable[str]) -> Iterator[tuple[str, SlotVersion]]:
    """The slots of a release that also run in a region that a track does not allow."""
    allowed, everywhere = set(track.allowed_regions), tuple(everywhere)
    for slot, version in release.slots.items() if allowed else ():
        if not allowed.issuperset(runs_in(version, everywhere)):
            yield slot, version


def takers(tracks: Mapping[str, Track]) -> dict[str, tuple[str, ...]]:
    """Track with a route -> the tracks that its requests go on to while it serves nothing, in order."""
    found: dict[str, tuple[str, ...]] = {}
    siblings: dict[str, list[Track]] = {}
    for track in tracks.values():
        siblings.setdefault(track.pipeline, []).append(track)
    for own in siblings.values():
        ordered = sorted(own, key=lambda track: track.turn)
        for place, track in enumerate(ordered if len(own) > 1 else ()):
            if track.route is not None:
                found[track.id] = tuple(other.id for other in ordered[place + 1 :] if overlap(track, other))
    return found


def overlap(one: Track, other: Track) -> bool:
    """Whether some request of a track also matches the route of another."""
    if one.route is None or other.route is None:
        return True
    return satisfiable([(parse(one.route), True), (parse(other.route), True)])


def within(one: Track, other: Track) -> bool:
    """Whether every request of a track surely matches the route of another."""
    if other.route is None:
        return True
    return one.route is not None and not satisfiable([(parse(one.route), True), (parse(other.route), False)])


def in_turn(
    shifts: Sequence[Operation], tracks: Mapping[str, Track], now: Serving, then: Serving
) -> tuple[list[Operation], tuple[str, ...]]:
    """Shifts of one milestone, such that no request of a channel reaches what its default channel serves in between.

    Channels that served nothing go before the other tracks of their pipeline, channels that will serve nothing after
    them. Nor may another channel serve them in between: of two whose routes overlap, the one that comes first
    begins first and ends last where it has a residency rule. Gives the shifts, and the ids of those that no other one
    waits for.
    """
    stages: dict[str, tuple[list[Operation], list[Operation], list[Operation]]] = {}
    for shift in shifts:
        track = tracks.get(shift.line or "")
        pipeline = track.pipeline if track else ""
        routed = track is not None and track.route is not None
        starts, stops = not now.get(shift.line or ""), not then.get(shift.line or "")
        place = 2 if routed and stops else 0 if routed and starts else 1
        stages.setdefault(pipeline, ([], [], []))[place].append(shift)
    ordered: list[Operation] = []
    last: list[str] = []
    for own in stages.values():
        waits: tuple[str, ...] = ()
        begins, moves, ends = own
        for stage in (*_layers(begins, tracks, begin=True), moves, *_layers(ends, tracks, begin=False)):
            if not stage:
                continue
            ordered += [s.model_copy(update={"after": waits}) if waits else s for s in stage]
            waits = tuple(sorted(shift.id for shift in stage))
        last += waits
    return ordered, tuple(sorted(last))


def _layers(shifts: Sequence[Operation], tracks: Mapping[str, Track], *, begin: bool) -> list[list[Operation]]:
    """Shifts of channels of one pipeline that all begin, or all end, in layers of which each waits for the one before.

    While a channel serves nothing the channels after it take its requests. So it begins before them, and ends after.
    """
    layers: list[list[Operation]] = []
    placed: dict[str, int] = {}
    for shift in sorted(shifts, key=lambda each: (tracks[each.line or ""].turn, each.line), reverse=not begin):
        track = tracks[shift.line or ""]
        waits = -1
        for name, layer in placed.items():
            first = tracks[name] if begin else track
            if first.allowed_regions and overlap(track, tracks[name]):
                waits = max(waits, layer)
        placed[track.id] = waits + 1
        layers += [[] for _ in range(waits + 2 - len(layers))]
        layers[waits + 1].append(shift)
    place_of = {shift.id: place for place, shift in enumerate(shifts)}
    return [sorted(layer, key=lambda each: place_of[each.id]) for layer in layers]


__all__ = ["in_turn", "outside", "overlap", "runs_in", "takers", "within"]
