"""A guardrail over safety policies: who was served under one is never served without."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.planner.declaration.models import ArtifactKind
from rollcast.planner.releases.releases import Line, Release
from rollcast.policies.library.residency import served
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register
from rollcast.policies.rules.states import State


def safety_policy_kept(*, level: Level = "mandatory", name: str = "safety-policy-kept") -> Policy:
    """Every release that takes the place of one with a safety policy has one, in every state of the plan.

    Why: a component that is renamed, merged or left out takes its policy with it, and nothing else fails when it does.
    A line that nothing served is held against the other lines of its pipeline, whose requests it takes.
    """

    def rule(review: Review) -> Iterator[Violation]:
        start = State(review.plan, "the start", review.plan.start)
        for state, line, release in served(review):
            if _policies(release):
                continue
            before = _before(review, start, line)
            lost = sorted({reference for one in before for reference in _policies(one)})
            if before and all(_policies(one) for one in before):
                guards = ", ".join(lost)
                message = f"{release.id} would serve line {line.id} without a safety policy; {guards} guards it."
                remedy = "Declare a component with a safety policy, or say why none is needed in an override."
                yield Violation(message, review.rollout_path(line.id), remedy, state)

    return register(rule, name, level, "who is served under a safety policy is never served without one")


def _policies(release: Release) -> list[str]:
    kind = ArtifactKind.SAFETY_POLICY
    return [version.reference for version in release.slots.values() if version.artifact.kind == kind]


def _before(review: Review, start: State, line: Line) -> list[Release]:
    """What serves the requests of a line when the plan begins."""
    own = list(start.serves(line.id).values())
    if own:
        return own
    others = (each for each in review.plan.lines.values() if each.pipeline == line.pipeline)
    return [release for each in others for release in start.serves(each.id).values()]


__all__ = ["safety_policy_kept"]
