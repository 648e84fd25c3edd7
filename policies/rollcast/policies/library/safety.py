"""A guardrail over safety policies: who was served under one is never served without."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.planner.declaration.models import ArtifactKind
from rollcast.planner.releases.releases import Release, Track
from rollcast.planner.routing.residency import overlap
from rollcast.policies.library.residency import served
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register
from rollcast.policies.rules.states import State

REMEDY = "Declare a component with a safety policy, or say why none is needed in an override."


def safety_policy_kept(*, level: Level = "mandatory", name: str = "safety-policy-kept") -> Policy:
    """Every release that takes the place of one with a safety policy has one, in every state of the plan.

    Why: a component that is renamed, merged or left out takes its policy with it, and nothing else fails when it does.
    A track that nothing served is held against the tracks whose requests it takes; and requests that go to another
    are held against what serves them today.
    """

    def rule(review: Review) -> Iterator[Violation]:
        start = State(review.plan, "the start", review.plan.start)
        reported: set[str] = set()
        for state, track, release in served(review):
            lost = sorted({reference for one in _before(review, start, track) for reference in _policies(one)})
            if lost and not _policies(release):
                reported.add(track.id)
                message = f"{release.id} would serve channel {track.id} without a safety policy; {_guards(lost)} it."
                yield Violation(message, review.rollout_path(track.id), REMEDY, state)
        for reroute in review.plan.reroutes:
            lost = _policies(review.plan.releases[reroute.from_release])
            if lost and not _policies(review.plan.releases[reroute.to_release]) and reroute.target not in reported:
                message = (
                    f"requests of channel {reroute.source} would go to {reroute.target}, which has no safety policy; "
                    f"{_guards(lost)} them today."
                )
                yield Violation(message, review.channel_path(reroute.target), REMEDY)

    return register(rule, name, level, "who is served under a safety policy is never served without one")


def _guards(policies: list[str]) -> str:
    return f"{', '.join(policies)} {'guards' if len(policies) == 1 else 'guard'}"


def _policies(release: Release) -> list[str]:
    kind = ArtifactKind.SAFETY_POLICY
    return [version.reference for version in release.slots.values() if version.artifact.kind == kind]


def _before(review: Review, start: State, track: Track) -> list[Release]:
    """What serves the requests of a track when the plan begins."""
    own = list(start.serves(track.id).values())
    if own:
        return own
    taken = [reroute.from_release for reroute in review.plan.reroutes if track.id in (reroute.target, reroute.line)]
    if taken:
        return [review.plan.releases[name] for name in taken]
    others = (each for each in review.plan.lines.values() if each.pipeline == track.pipeline and overlap(each, track))
    return [release for each in others for release in start.serves(each.id).values()]


__all__ = ["safety_policy_kept"]
