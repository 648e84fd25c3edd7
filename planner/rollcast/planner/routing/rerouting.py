"""Requests that another channel takes than the one that takes them now, and the lines that carry them across.

The first channel whose route matches takes a request. So a route that changes, an order that changes, a channel that
ends and a new one before others all send requests elsewhere. Where that is another release, these requests get a line
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
from rollcast.planner.releases.releases import Line, Release, default_of
from rollcast.planner.routing.residency import outside, overlap, runs_in

Releases = Mapping[str, Release]
Where = dict[str, Json]
Elsewhere = tuple[Line, Where]  # a line that takes requests then, and which
ENDING, CARRYING = -1, -2  # places before every declared channel; what is carried elsewhere comes first


@dataclass(frozen=True)
class Crossing:
    """Who goes another way. `carriers` are lines that are not declared: channels that end, and those that carry.

    `sources` names, of the carriers that serve nothing yet, the line that takes their requests now.
    """

    reroutes: tuple[Reroute, ...] = ()
    carriers: dict[str, Line] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    @property
    def heirs(self) -> dict[str, str]:
        """Carrier -> the declared line whose release it goes to."""
        return {reroute.line: reroute.target for reroute in self.reroutes if reroute.line}


def crossing_of(
    live: LiveState,
    now: Releases,
    lines: Mapping[str, Line],
    released: Releases,
    before: Releases,
    everywhere: Sequence[str],
) -> Crossing:
    """Who goes another way, from the routes that serve to those declared.

    `now` is the release that serves each line, `before` what each declared line comes from, `released` what it goes to.
    Raises NoSafeOrder where a channel ends whose requests may not be served by the lines that would take them.
    """
    found = Crossing()
    reroutes: list[Reroute] = []
    for pipeline in dict.fromkeys(line.pipeline for line in lines.values()):
        old = _tried(line for name, line in live.lines.items() if line.pipeline == pipeline and name in now)
        new = _tried(line for line in lines.values() if line.pipeline == pipeline)
        if not old or old[-1].route is not None or [(o.id, o.route) for o in old] == [(n.id, n.route) for n in new]:
            continue
        pairs = list(elsewhere(old, new))
        for line in old:
            own = [(target, where) for source, target, where in pairs if source is line]
            if line.id not in released:
                own = own or [(lines[default_of(line.id)], _left_to(line, old))]
                for target, _ in own:
                    _refuse_outside(line, target, released[target.id], everywhere)
                riding = _riding(line, own, released)
                reroutes += _ending(line, riding, own, old, found, now, released)
                own = [one for one in own if one not in riding]
            for target, where in own:
                reroutes.append(_carried(line, target, where, found, live, lines, now, released, before, everywhere))
    return Crossing(tuple(reroutes), found.carriers, found.sources)


def elsewhere(old: Sequence[Line], new: Sequence[Line]) -> Iterator[tuple[Line, Line, Where]]:
    """(line that takes them now, another line that takes them then, which requests): what can match at all.

    Lines of one pipeline, as they are tried.
    """
    for i, source in enumerate(old):
        for j, target in enumerate(new):
            where = None if source.id == target.id else _both((source, target), (*old[:i], *new[:j]))
            if where is not None:
                yield source, target, where


def _both(takers: Sequence[Line], earlier: Sequence[Line]) -> Where | None:
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


def _left_to(line: Line, old: Sequence[Line]) -> Where:
    """The predicate of what a line is left by those before it, whether or not anything can match."""
    parts: list[Where] = [line.route or {}, *({"not": route} for route in _distinct(old[: old.index(line)]))]
    return parts[0] if len(parts) == 1 else {"all": list(parts)}


def _distinct(lines: Sequence[Line]) -> list[Where]:
    found: list[Where] = []
    for line in lines:
        if line.route is not None and line.route not in found:
            found.append(line.route)
    return found


def _tried(lines: Iterator[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: line.turn)


def _riding(line: Line, own: Sequence[Elsewhere], released: Releases) -> list[Elsewhere]:
    """Of the lines that take the requests of a channel that ends, those whose release the channel itself goes to.

    The last of them is the one by whose stages it goes: its default channel where that is one of them.
    """
    default = default_of(line.id)
    heir = next((target for target, _ in own if target.id == default), own[-1][0])
    same = [one for one in own if released[one[0].id].id == released[heir.id].id]
    return sorted(same, key=lambda one: one[0] is heir)


def _ending(
    line: Line, riding: Sequence[Elsewhere], own: Sequence[Elsewhere], old: Sequence[Line], found: Crossing,
    now: Releases, released: Releases,
) -> list[Reroute]:  # fmt: skip
    """A channel that is no longer declared: until it ends it is tried first, for the requests that it leads."""
    route = line.route or {}
    if len(riding) < len(own) or any(overlap(line, other) for other in old[: old.index(line)]):
        parts = [where for _, where in riding]
        route = parts[0] if len(parts) == 1 else {"any": list(parts)}
    heir = riding[-1][0]
    found.carriers[line.id] = line.model_copy(
        update={"rollout": heir.rollout, "route": route, "place": min(line.place, ENDING)}
    )
    return [
        Reroute(
            line=line.id, source=line.id, target=target.id, where=where,
            from_release=now[line.id].id, to_release=released[target.id].id,
        )
        for target, where in riding
    ]  # fmt: skip


def _carried(
    line: Line, target: Line, where: Where, found: Crossing, live: LiveState, lines: Mapping[str, Line],
    now: Releases, released: Releases, before: Releases, everywhere: Sequence[str],
) -> Reroute:  # fmt: skip
    """Requests of a line that another one takes: carried, or all at once where it is one release, or may not be."""
    reroute = Reroute(
        source=line.id, target=target.id, where=where, from_release=now[line.id].id, to_release=released[target.id].id
    )
    if target.id in before and before[target.id].id == now[line.id].id:
        return reroute.model_copy(update={"moves": "with it"})
    if any(outside(target, now[line.id], everywhere)):
        return reroute.model_copy(update={"moves": "at once"})
    channel = _free(f"{line.channel}-to-{target.channel}", target.id, {*lines, *live.lines, *found.carriers})
    name = target.id[: len(target.id) - len(target.channel)] + channel
    rollout = target.rollout
    if rollout.strategy is Strategy.FLAG:  # that toggles flags, and these change more
        rollout = rollout.model_copy(update={"strategy": Strategy.CANARY})
    update = {"id": name, "channel": channel, "route": where, "rollout": rollout, "place": CARRYING}
    found.carriers[name] = target.model_copy(update=update)
    found.sources[name] = line.id
    return reroute.model_copy(update={"line": name})


def _free(channel: str, target: str, taken: set[str]) -> str:
    """A channel name that no line of the target's pipeline has."""
    prefix = target.rpartition("/")[0]
    prefix = f"{prefix}/" if prefix else ""
    name, count = channel, 2
    while prefix + name in taken:
        name, count = f"{channel}-{count}", count + 1
    return name


def _refuse_outside(line: Line, target: Line, release: Release, everywhere: Sequence[str]) -> None:
    for slot, version in outside(line, release, everywhere):
        raise NoSafeOrder(
            f"channel '{line.id}' is no longer declared, but its requests may only be served in "
            f"{', '.join(line.allowed_regions)}, and {slot} {version.reference} of {target.id}, which would take "
            f"them, runs in {', '.join(runs_in(version, everywhere))}",
            f"Keep channel '{line.id}', or release it with the regions that {target.id} needs before it is removed.",
        )


__all__ = ["Crossing", "crossing_of", "elsewhere"]
