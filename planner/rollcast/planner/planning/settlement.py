"""The plan that ends a split: everybody of each split channel goes wholly to one of the releases that serve it already.

It is for a live state that no rollout leads out of, because the ledger that knew its plan is lost. Both releases of a
channel serve, so both are whole: one shift is all there is to do, then a drain, and what nobody uses is retired. The
shift can be rolled back to the very shares of before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rollcast.planner.base.errors import MixedLiveState, did_you_mean
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import LiveState, Operation, Plan, Serving, Share
from rollcast.planner.planning.builder import PlanBuilder
from rollcast.planner.planning.planner import whole_plan
from rollcast.planner.planning.waves import settle
from rollcast.planner.releases.changes import diff
from rollcast.planner.releases.releases import tracks_of
from rollcast.planner.routing.residency import in_turn


def split_of(live: LiveState) -> dict[str, tuple[str, ...]]:
    """The channels that several releases serve: track -> the releases, in the order of their shares."""
    found = {track: tuple(dict.fromkeys(s.release for s in shares)) for track, shares in live.serving.items()}
    return {track: releases for track, releases in sorted(found.items()) if len(releases) > 1}


def make_settlement(
    declaration: Declaration, live: LiveState, to: Collection[str], environment: str | None = None
) -> Plan:
    """The plan from a split to `to`: one of the releases of each split channel. It is empty where nothing is split.

    Raises MixedLiveState where `to` says no release of a split channel, several, or one that serves no such channel;
    UnsafePlan on a defect of the planner.
    """
    name, settings = declaration.environment(environment)
    split = split_of(live)
    chosen = _chosen(split, to)
    tracks = {**tracks_of(declaration), **live.lines}
    builder = PlanBuilder(tracks, settings, live.serving, live.instances, live.releases, live.lines)
    origin: Serving = {track: live.serving[track] for track in chosen}
    serving: Serving = {track: (Share(line=track, percent=100.0, release=name),) for track, name in chosen.items()}
    shifts = [
        Operation(
            id=builder.id(f"shift/{track}/settle", track), kind="shift", milestone=0, line=track, release=release,
            why="it serves a part of them already, and no rollout is under way",
        )
        for track, release in chosen.items()
    ]  # fmt: skip
    if chosen:
        title = "everybody on " + ", ".join(dict.fromkeys(chosen.values()))
        settle(builder, in_turn(shifts, tracks, live.serving, serving)[0], title, origin, serving)
        builder.contract(tuple(chosen))
    left = {track: next(other for other in split[track] if other != release) for track, release in chosen.items()}
    return whole_plan(
        builder, live, declaration.pipeline, name,
        from_release=dict(left),
        to_release=chosen,
        changes=tuple(diff(
            {track: live.releases[release] for track, release in left.items()},
            {track: live.releases[release] for track, release in chosen.items()},
        )),
        groups=(),
        notes=_notes(split, chosen),
        audiences={},
        start=dict(live.serving),
    )  # fmt: skip


def _chosen(split: Mapping[str, tuple[str, ...]], to: Collection[str]) -> dict[str, str]:
    known = {release for releases in split.values() for release in releases}
    for name in to:
        if name not in known:
            serves = f"No split channel is served by '{name}'." if known else "No channel is split."
            raise MixedLiveState(f"{serves} {did_you_mean(name, known) if known else 'Run rollcast plan.'}")
    found = {}
    for track, releases in split.items():
        own = [release for release in releases if release in to]
        if len(own) != 1:
            which = "several of them are named" if own else "none of them is named"
            raise MixedLiveState(
                f"Channel '{track}' is split between {', '.join(releases)}, and {which}. "
                "Name one with --to RELEASE; again for each channel that is split."
            )
        found[track] = own[0]
    return found


def _notes(split: Mapping[str, tuple[str, ...]], chosen: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{track} is split between {', '.join(split[track])}; nothing is judged on the way to {release}."
        for track, release in chosen.items()
    )


__all__ = ["make_settlement", "split_of"]
