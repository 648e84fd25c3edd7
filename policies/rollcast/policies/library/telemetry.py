"""Guardrails over what gates will be able to see."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.planner.rollout.state_machine import compares, counts_of
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register


def completeness_judged(*, level: Level = "mandatory", name: str = "completeness-judged") -> Policy:
    """Where gates compare two releases, something counts the requests that entered.

    Why: a release whose requests vanish from telemetry looks healthy by what is left of them.
    """

    def rule(review: Review) -> Iterator[Violation]:
        stages = [each for each in review.plan.milestones if each.gates and compares(review.plan, each.index)]
        if stages and not counts_of(review.plan):
            message = "Completeness can't be judged: nothing says how many requests entered, so those that vanish pass."
            remedy = "Give the target the 'endpoint' of every replica, or record an 'exposure' of each request."
            yield Violation(message, review.rollout_path(stages[0].lines[0], "gates"), remedy)

    return register(rule, name, level, "a release whose requests vanish looks healthy by what is left of them")
