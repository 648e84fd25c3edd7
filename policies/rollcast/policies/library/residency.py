"""Guardrails over where requests go and what may serve them: regions, regulatory domains, the privacy channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.planner.base.audiences import Condition, Rule, parse, satisfiable
from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import Release, SlotVersion, Track
from rollcast.planner.routing.residency import runs_in
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register
from rollcast.policies.rules.states import State


def residency(*, level: Level = "mandatory", name: str = "residency") -> Policy:
    """Requests of a track with `allowed_regions` are only served by components that run in no other region.

    Why: where data may be processed is law, not preference. Judged in every state that the plan leads to; a channel
    that is not released yet is judged by what serves its requests meanwhile. What the plan finds live is not its doing.
    """

    def rule(review: Review) -> Iterator[Violation]:
        for state, track, release in served(review):
            allowed = set(track.allowed_regions)
            for slot, version in release.slots.items():
                regions = runs_in(version, review.environment.regions)
                if allowed and not allowed.issuperset(regions):
                    message = (
                        f"requests of channel {track.id} would be served by {slot} {version.reference} in "
                        f"{', '.join(regions)}, outside {', '.join(sorted(allowed))}."
                    )
                    remedy = "Run it in allowed regions only, or route these requests to a channel of their own."
                    yield Violation(message, review.component_path(track.id, slot), remedy, state)

    return register(rule, name, level, "where data may be processed is law, not preference")


def regulatory_domain(
    attribute: str,
    value: str,
    *,
    labels: Sequence[str],
    level: Level = "mandatory",
    name: str | None = None,
) -> Policy:
    """Requests whose `attribute` is `value` only reach components whose regions all carry all of `labels`.

    Why: a residency rule on a channel holds for those whom its route takes; this rule holds for the requests
    themselves, whichever track takes them, and so finds a route that forgets some.
    """

    def rule(review: Review) -> Iterator[Violation]:
        fit = {n for n, region in review.environment.regions.items() if set(labels) <= set(region.labels)}
        wanted: Rule = ("is", attribute, Condition.model_validate({"in": (value,)}))
        tracks = _lines_that_take(review.plan, wanted)
        for state, track, release in served(review):
            if track.id not in tracks:
                continue
            for slot, version in release.slots.items():
                regions = runs_in(version, review.environment.regions)
                if not regions or not fit.issuperset(regions):
                    yield _outside(review, state, track, slot, version)

    def _outside(review: Review, state: State, track: Track, slot: str, version: SlotVersion) -> Violation:
        where = ", ".join(runs_in(version, review.environment.regions)) or "no declared region"
        message = (
            f"requests with {attribute}={value} may reach channel {track.id}, where {slot} {version.reference} runs in "
            f"{where}; regions labelled {', '.join(labels)} are required."
        )
        remedy = f"Route {attribute}={value} to a channel that runs there, or label the regions that qualify."
        return Violation(message, review.component_path(track.id, slot), remedy, state)

    reason = "the rule holds for the requests themselves, whichever channel takes them"
    return register(rule, name or f"regulatory-domain-{value}", level, reason)


def privacy_never_experimental(
    channels: Sequence[str] = ("privacy",), *, level: Level = "mandatory", name: str = "privacy-never-experimental"
) -> Policy:
    """Requests of the privacy channels are never served by artifacts marked `experimental`.

    Why: who asks for stricter handling of data has not agreed to be experimented on. A privacy channel that is not
    released yet is judged by what serves its requests meanwhile.
    """

    def rule(review: Review) -> Iterator[Violation]:
        for state, track, release in served(review):
            for slot, version in release.slots.items():
                if track.channel in channels and version.artifact.experimental:
                    message = (
                        f"requests of channel {track.channel} would reach {version.reference}, which is experimental."
                    )
                    remedy = f"Give '{slot}' of channel '{track.channel}' an artifact that is not experimental."
                    yield Violation(message, review.component_path(track.id, slot), remedy, state)

    return register(rule, name, level, "who asks for stricter handling has not agreed to be experimented on")


def served(review: Review) -> Iterator[tuple[State, Track, Release]]:
    """(state, track, release that may serve its requests), the first state for each pair; not what is live already."""
    start = State(review.plan, "the start", review.plan.start)
    tracks = review.plan.lines
    reported = {(track, release) for track in tracks for release in start.serves(track)}
    siblings: dict[str, list[str]] = {}
    for name, track in tracks.items():
        siblings.setdefault(track.pipeline, []).append(name)
    for state in review.states:
        pipelines = dict.fromkeys(tracks[name].pipeline for name in state.changed if name in tracks)
        for name in (name for pipeline in pipelines for name in siblings[pipeline]):
            for release_id, release in state.serves(name).items():
                if (name, release_id) not in reported:
                    reported.add((name, release_id))
                    yield state, tracks[name], release


def _lines_that_take(plan: Plan, wanted: Rule) -> set[str]:
    """Tracks that some request of this kind reaches: their route matches it, and no earlier route always takes it."""
    found: set[str] = set()
    for pipeline in dict.fromkeys(track.pipeline for track in plan.lines.values()):
        taken: list[tuple[Rule, bool]] = []
        own = [track for track in plan.lines.values() if track.pipeline == pipeline]
        for track in sorted(own, key=lambda track: track.turn):
            route: Rule = ("all", (), None) if track.route is None else parse(track.route)
            if satisfiable([(wanted, True), (route, True), *taken]):
                found.add(track.id)
            taken.append((route, False))
    return found


__all__ = ["privacy_never_experimental", "regulatory_domain", "residency"]
