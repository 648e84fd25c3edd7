"""Requests that another channel takes than the one that takes them now, and the tracks that carry them across.

The first channel whose route matches takes a request. So a route that changes, an order that changes, a channel that
ends and a new one before others all send requests elsewhere. Where that is another release, these requests get a track
of their own: it begins on what serves them, in the very write that changes the routes, so that nobody changes release
by it; it goes by the stages and gates of its target to the target's release; then it ends, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rollcast.planner.base.audiences import parse, satisfiable
from rollcast.planner.base.errors import NoSafeOrder
from rollcast.planner.declaration.models import Json, Strategy
from rollcast.planner.plan.models import LiveState, Reroute
from rollcast.planner.releases.releases import Release, Track, default_of
from rollcast.planner.routing.residency import outside, overlap, runs_in

Releases = Mapping[str, Release]
Where = dict[str, Json]
Elsewhere = tuple[Track, Where]  # a track that takes requests then, and which
ENDING, CARRYING = -1, -2  # places before every declared channel; what is carried elsewhere comes first


@dataclass(frozen=True)
class Crossing:
    """Who goes another way. `carriers` are tracks that are not declared: channels that end, and those that carry.

    `sources` names, of the carriers that serve nothing yet, the track that takes their requests now.
    """

    reroutes: tuple[Reroute, ...] = ()
    carriers: dict[str, Track] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def heirs(self) -> dict[str, str]:
        """Carrier -> the declared track whose release it goes to."""
        return {reroute.line: reroute.target for reroute in self.reroutes if reroute.line}


def crossing_of(
    live: LiveState,
    now: Releases,
    tracks: Mapping[str, Track],
    released: Releases,
    before: Releases,
    everywhere: Sequence[str],
) -> Crossing:
    """Who goes another way, from the routes that serve to those declared.

    `now`: the release that serves each track, `before`: what each declared one comes from, `released`: what it goes to.
    Raises NoSafeOrder where a channel ends whose requests may not be served by the tracks that would take them.
    """
    found = Crossing()
    reroutes: list[Reroute] = []
    for pipeline in dict.fromkeys(track.pipeline for track in tracks.values()):
        old = _tried(track for name, track in live.lines.items() if track.pipeline == pipeline and name in now)
        new = _tried(track for track in tracks.values() if track.pipeline == pipeline)
        if not old or old[-1].route is not None or [(o.id, o.route) for o in old] == [(n.id, n.route) for n in new]:
            continue
        pairs = list(elsewhere(old, new))
        for track in old:
            own = [(target, where) for source, target, where in pairs if source is track]
            if track.id not in released:
                own = own or [(tracks[default_of(track.id)], _left_to(track, old))]
                for target, _ in own:
                    _refuse_outside(track, target, released[target.id], everywhere)
                riding = _riding(track, own, released)
                reroutes += _ending(track, riding, own, old, found, now, released)
                own = [one for one in own if one not in riding]
            for target, where in own:
                reroutes.append(_carried(track, target, where, found, live, tracks, now, released, before, everywhere))
    return Crossing(tuple(reroutes), found.carriers, found.sources)


def elsewhere(old: Sequence[Track], new: Sequence[Track]) -> Iterator[tuple[Track, Track, Where]]:
    """(track that takes them now, another track that takes them then, which requests): what can match at all.

    Tracks of one pipeline, as they are tried.
    """
    for i, source in enumerate(old):
        for j, target in enumerate(new):
            where = None if source.id == target.id else _both((source, target), (*old[:i], *new[:j]))
            if where is not None:
                yield source, target, where


def _both(takers: Sequence[Track], earlier: Sequence[Track]) -> Where | None:
    """The predicate of requests that match all of these routes and none of the earlier ones; None where none can."""
    wanted = _distinct(takers)
    never = _distinct(earlier)
    if any(route in wanted for route in never):
        return None
    rules = [(parse(route), True) for route in wanted]
    if not satisfiable(rules):
        return None
    near = [route for route in never if satisfiable([*rules, (parse(route), True)])]
    rules_never = [(parse(route), False) for route in near]
    if any(not satisfiable([*rules, one]) for one in rules_never) or not satisfiable([*rules, *rules_never]):
        return None
    parts: list[Where] = [*wanted, *({"not": route} for route in near)]
    return parts[0] if len(parts) == 1 else {"all": list(parts)}


def _left_to(track: Track, old: Sequence[Track]) -> Where:
    """The predicate of what a track is left by those before it, whether or not anything can match."""
    parts: list[Where] = [track.route or {}, *({"not": route} for route in _distinct(old[: old.index(track)]))]
    return parts[0] if len(parts) == 1 else {"all": list(parts)}


def _distinct(tracks: Sequence[Track]) -> list[Where]:
    found: list[Where] = []
    for track in tracks:
        if track.route is not None and track.route not in found:
            found.append(track.route)
    return found


def _tried(tracks: Iterator[Track]) -> list[Track]:
    return sorted(tracks, key=lambda track: track.turn)


def _riding(track: Track, own: Sequence[Elsewhere], released: Releases) -> list[Elsewhere]:
    """Of the tracks that take the requests of a channel that ends, those whose release the channel itself goes to.

    The last of them is the one by whose stages it goes: its default channel where that is one of them.
    """
    default = default_of(track.id)
    heir = next((target for target, _ in own if target.id == default), own[-1][0])
    same = [one for one in own if released[one[0].id].id == released[heir.id].id]
    return sorted(same, key=lambda one: one[0] is heir)


def _ending(
    track: Track, riding: Sequence[Elsewhere], own: Sequence[Elsewhere], old: Sequence[Track], found: Crossing,
    now: Releases, released: Releases,
) -> list[Reroute]:  # fmt: skip
    """A channel that is no longer declared: until it ends it is tried first, for the requests that it leads."""
    route = track.route or {}
    if len(riding) < len(own) or any(overlap(track, other) for other in old[: old.index(track)]):
        parts = [where for _, where in riding]
        route = parts[0] if len(parts) == 1 else {"any": list(parts)}
    heir = riding[-1][0]
    found.carriers[track.id] = track.model_copy(
        update={"rollout": heir.rollout, "route": route, "place": min(track.place, ENDING)}
    )
    return [
        Reroute(
            line=track.id, source=track.id, target=target.id, where=where,
            from_release=now[track.id].id, to_release=released[target.id].id,
        )
        for target, where in riding
    ]  # fmt: skip


def _carried(
    track: Track, target: Track, where: Where, found: Crossing, live: LiveState, tracks: Mapping[str, Track],
    now: Releases, released: Releases, before: Releases, everywhere: Sequence[str],
) -> Reroute:  # fmt: skip
    """Requests of a track that another one takes: carried, or all at once where it is one release, or may not be."""
    reroute = Reroute(
        source=track.id, target=target.id, where=where, from_release=now[track.id].id, to_release=released[target.id].id
    )
    if target.id in before and before[target.id].id == now[track.id].id:
        return reroute.model_copy(update={"moves": "with it"})
    if any(outside(target, now[track.id], everywhere)):
        return reroute.model_copy(update={"moves": "at once"})
    channel = _free(f"{track.channel}-to-{target.channel}", target.id, {*tracks, *live.lines, *found.carriers})
    name = target.id[: len(target.id) - len(target.channel)] + channel
    rollout = target.rollout
    if rollout.strategy is Strategy.FLAG:  # that toggles flags, and these change more
        rollout = rollout.model_copy(update={"strategy": Strategy.CANARY})
    update = {"id": name, "channel": channel, "route": where, "rollout": rollout, "place": CARRYING}
    found.carriers[name] = target.model_copy(update=update)
    found.sources[name] = track.id
    return reroute.model_copy(update={"line": name})


def _free(channel: str, target: str, taken: set[str]) -> str:
    """A channel name that no track of the target's pipeline has."""
    prefix = target.rpartition("/")[0]
    prefix = f"{prefix}/" if prefix else ""
    name, count = channel, 2
    while prefix + name in taken:
        name, count = f"{channel}-{count}", count + 1
    return name


def _refuse_outside(track: Track, target: Track, release: Release, everywhere: Sequence[str]) -> None:
    for slot, version in outside(track, release, everywhere):
        raise NoSafeOrder(
            f"channel '{track.id}' is no longer declared, but its requests may only be served in "
            f"{', '.join(track.allowed_regions)}, and {slot} {version.reference} of {target.id}, which would take "
            f"them, runs in {', '.join(runs_in(version, everywhere))}",
            f"Keep channel '{track.id}', or release it with the regions that {target.id} needs before it is removed.",
        )


__all__ = ["Crossing", "crossing_of", "elsewhere"]
