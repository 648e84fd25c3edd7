"""A guardrail over tools: a call that was right stays right, or the contract says that it does not."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.planner.plan.models import ContentChange
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register


def tool_schema_break(*, level: Level = "mandatory", name: str = "tool-schema-break") -> Policy:
    """A tool schema that removes a tool or an argument, or newly requires one, provides another contract than before.

    Why: whoever calls the tools as they were is refused. A contract that stays the same says that nothing breaks, and
    the two sides would be changed one after the other. Judged where both versions' content is on this machine.
    """

    def rule(review: Review) -> Iterator[Violation]:
        for change in review.plan.contents:
            if change.breaking and _says_that_nothing_breaks(review, change):
                what = "; ".join(change.breaking)
                remedy = f"Let {change.after} provide another value of a contract, and its callers require it."
                path = review.artifact_path(change.after)
                yield Violation(f"{change.after} breaks calls that {change.before} took: {what}.", path, remedy)

    return register(rule, name, level, "a call that was right is refused")


def _says_that_nothing_breaks(review: Review, change: ContentChange) -> bool:
    """Whether both versions provide the same contracts, and some."""
    source, target = review.plan.ends_of(change.line)
    if source is None or target is None:
        return False
    before = review.plan.releases[source].slots[change.slot].provides
    after = review.plan.releases[target].slots[change.slot].provides
    return bool(before) and before == after


__all__ = ["tool_schema_break"]
