"""What must hold in every state of every walk, derived from the declaration and not from the planner's proofs.

The planner proves its plans safe by deciding; here nothing is decided, only looked at. So a mistake in the planner's
reasoning and the same mistake in its proof do not hide each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import mmh3

from rollcast.planner.base.audiences import matches, parse
from rollcast.planner.plan.models import EVERYONE, Plan, Serving, Share
from rollcast.planner.releases.releases import Track, instance_path
from rollcast.planner.rollout.state_machine import Finished, Outcome, Reach, Rollout
from rollcast.policies.model_based.model_state import ModelState
from rollcast.policies.model_based.users import User
from rollcast.policies.rules.states import State


class Walked(Protocol):
    """What expectations look at in a walk; `seen_serving` and `furthest` are theirs to write."""

    plan: Plan
    rollout: Rollout
    world: ModelState
    users: tuple[User, ...]
    begun: Reach | None
    chains: dict[str, dict[str, int]]
    furthest: dict[tuple[int, str], int]
    seen_serving: Serving | None

    @property
    def state(self) -> State: ...


def expectations(walk: Walked) -> Iterator[str]:
    """What does not hold now."""
    yield from _ready(walk)
    yield from _room(walk)
    yield from _inside_regions(walk)
    if walk.world.serving is not walk.seen_serving or walk.rollout.position.rollback_from is not None:
        walk.seen_serving = walk.world.serving
        yield from _routed(walk)
        yield from _as_the_shares_say(walk)
        yield from _sticky(walk)
    yield from _end(walk)


def _ready(walk: Walked) -> Iterator[str]:
    """All that a serving release is made of runs."""
    for release_id in sorted({share.release for shares in walk.world.serving.values() for share in shares}):
        release = walk.plan.releases[release_id]
        for slot, version in release.slots.items():
            folder = instance_path(release.pipeline, slot, version)
            if folder not in walk.world.instances:
                yield f"{release_id} serves, and its {slot} ({folder}) does not run."


def _room(walk: Walked) -> Iterator[str]:
    """What runs fits the environment and each of its regions."""
    settings = walk.plan.settings
    slots = [walk.plan.releases[release].slots[slot] for release, slot in walk.world.instances.values()]
    for resource, limit in settings.capacity.items():
        used = sum(slot.needs.get(resource, 0.0) * slot.replicas for slot in slots)
        if used > limit + 1e-9:
            yield f"what runs needs {used:g} {resource}, and the environment has {limit:g}."
    for name, region in settings.regions.items():
        for resource, limit in region.capacity.items():
            here = [slot for slot in slots if not slot.regions or name in slot.regions]
            used = sum(slot.needs.get(resource, 0.0) * slot.replicas for slot in here)
            if used > limit + 1e-9:
                yield f"what runs needs {used:g} {resource} in region {name}, which has {limit:g}."


def _inside_regions(walk: Walked) -> Iterator[str]:
    """Nobody is served outside the regions that their track allows, by what the plan brings."""
    for track, shares in walk.world.serving.items():
        allowed = set(walk.plan.lines[track].allowed_regions) if track in walk.plan.lines else set()
        releases = walk.plan.releases
        served = {share.release for share in walk.plan.start.get(track, ())}
        served_by = {(slot, found.instance_id) for name in served for slot, found in releases[name].slots.items()}
        for share in shares if allowed else ():
            for slot, version in releases[share.release].slots.items():
                regions = version.regions or tuple(walk.plan.settings.regions)
                if (slot, version.instance_id) not in served_by and not allowed.issuperset(regions):
                    yield f"channel {track} reaches {slot} {version.reference} outside {', '.join(sorted(allowed))}."


def _routed(walk: Walked) -> Iterator[str]:
    """Whoever was served at the start still is, but for a declared maintenance pause."""
    for user in walk.users:
        if walk.world.route(user.pipeline, user.key, user.attributes) is None and _was_served(walk.plan, user.pipeline):
            paused = [
                track
                for track in walk.plan.lines.values()
                if track.pipeline == user.pipeline and not walk.world.serving.get(track.id)
            ]
            if not any(track.rollout.maintenance_pause for track in paused):
                yield f"{user.key} ({dict(user.attributes)}) is served by nothing."


def _was_served(plan: Plan, pipeline: str) -> bool:
    return any(
        plan.start.get(track.id) for track in plan.lines.values() if track.pipeline == pipeline and track.route is None
    )


def _as_the_shares_say(walk: Walked) -> Iterator[str]:
    """Each user is in the bucket of their key, and the bucket is where the cumulative percentages put it."""
    for user in walk.users:
        routed = walk.world.route(user.pipeline, user.key, user.attributes)
        if routed is None:
            continue
        track, release = expected(walk.plan, walk.world.serving, user)
        if (routed.line, routed.release) != (track, release):
            shown = f"{routed.release} of channel {routed.line}, not {release} of channel {track}"
            yield f"{user.key} ({dict(user.attributes)}) is served by {shown}."


def expected(plan: Plan, serving: Serving, user: User) -> tuple[str, str]:
    """(track, release) of a user by the definition of shares."""
    tracks = [track for track in plan.lines.values() if track.pipeline == user.pipeline]
    for track in sorted(tracks, key=lambda track: track.turn):
        shares = serving.get(track.id, ())
        if track.route is not None and (not shares or not matches(parse(track.route), user.attributes)):
            continue
        for audience in dict.fromkeys(share.audience for share in shares):
            if audience == EVERYONE or matches(parse(plan.audiences[audience]), user.attributes):
                own = [share for share in shares if share.audience == audience]
                return track.id, _bucketed(track, own, user.key)
        break
    return "", ""


def _bucketed(track: Track, shares: list[Share], key: str) -> str:
    """The release of a bucket: murmur3-32 of salt and key, in thousandths of a percent (flagd's `fractional`)."""
    salt = f"rollcast-{track.pipeline}/{track.channel}/{track.rollout.salt}:"
    bucket = (mmh3.hash((salt + key).encode("utf-8", "surrogatepass"), signed=False) * 100_000) >> 32
    upto = 0
    for share in shares:
        upto += round(share.percent * 1000)
        if bucket < upto:
            return share.release
    return shares[-1].release


def _sticky(walk: Walked) -> Iterator[str]:
    """On the way forward nobody goes back to a release that they have left."""
    if walk.rollout.position.rollback_from is not None:
        walk.furthest.clear()
        return
    chains = walk.chains
    for number, user in enumerate(walk.users):
        routed = walk.world.route(user.pipeline, user.key, user.attributes)
        if routed is None or routed.release not in chains.get(routed.line, ()):
            continue
        place = chains[routed.line][routed.release]
        furthest = walk.furthest.get((number, routed.line), place)
        if place < furthest:
            names = {here: name for name, here in chains[routed.line].items()}
            yield f"{user.key} is moved back from {names[furthest]} to {routed.release} while the rollout goes on."
        walk.furthest[number, routed.line] = max(place, furthest)


def _end(walk: Walked) -> Iterator[str]:
    """A finished rollout has led to what was declared, or back to where its wave began."""
    action = walk.rollout.next(walk.world.now_s) if walk.begun is None else None
    if not isinstance(action, Finished):
        return
    if action.outcome is Outcome.PROMOTED:
        yield from _promoted(walk)
    elif action.outcome is Outcome.ROLLED_BACK:
        yield from _back_where_it_began(walk)


def _promoted(walk: Walked) -> Iterator[str]:
    plan, needed = walk.plan, set[str]()
    for track, target in plan.to_release.items():
        if list(walk.state.serves(track)) != [target]:
            yield f"the rollout is promoted, and requests of channel {track} are not all served by {target}."
        needed |= _folders(plan, target)
    for track in walk.world.serving:
        if track not in plan.to_release and walk.world.serving[track]:
            yield f"the rollout is promoted, and channel {track}, which is no longer declared, still serves."
    yield from _runs_exactly(walk.world.instances, needed, "the rollout is promoted")


def _folders(plan: Plan, release_id: str) -> set[str]:
    release = plan.releases[release_id]
    return {instance_path(release.pipeline, slot, version) for slot, version in release.slots.items()}


def _runs_exactly(instances: Mapping[str, tuple[str, str]], needed: set[str], when: str) -> Iterator[str]:
    for folder in sorted(needed - set(instances)):
        yield f"{when}, and {folder} does not run."
    for folder in sorted(set(instances) - needed):
        yield f"{when}, and {folder} still runs though nothing needs it."


def _back_where_it_began(walk: Walked) -> Iterator[str]:
    """Serving, instances and their content are those of the start of the wave that was undone."""
    plan, start = walk.plan, walk.rollout.position.rollback_from
    if start is None or start < 0:
        return
    wave = plan.milestones[start].wave
    last = max((milestone.index for milestone in plan.milestones if milestone.wave < wave), default=-1)
    origin = plan.state_at(last)
    if _shown(origin.serving) != _shown(walk.world.serving):
        yield "the rollout is rolled back, and not everybody is served as before."
    for folder in sorted({*origin.instances, *walk.world.instances}):
        before, now = origin.instances.get(folder), walk.world.instances.get(folder)
        if (before is None) != (now is None):
            yield f"the rollout is rolled back, and {folder} {'runs on' if now else 'no longer runs'}."
        elif before is not None and now is not None and _content(plan, *before) != _content(plan, *now):
            yield f"the rollout is rolled back, and {folder} does not hold what it held before."


def _shown(serving: Serving) -> dict[str, list[tuple[str, float, str]]]:
    return {
        track: [(share.audience, share.percent, share.release) for share in shares]
        for track, shares in serving.items()
        if shares
    }


def _content(plan: Plan, release: str, slot: str) -> str:
    return plan.releases[release].slots[slot].instance_id
