"""A guardrail over evaluations: what is to serve was measured as it is, not as something of the same name was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.planner.declaration.models import ArtifactKind
from rollcast.policies.library.provenance import JUDGED
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register


def evaluated_on_this_content(
    kinds: Sequence[ArtifactKind | str] = JUDGED,
    *,
    level: Level = "mandatory",
    name: str = "evaluated-on-this-content",
) -> Policy:
    """A release that changes an artifact of these kinds was run through a suite, or the plan runs one before traffic.

    Why: counts that are typed into a declaration say what somebody measured once. A suite's result in the ledger is of
    this release, by the digest of its content, and of this suite, by the digests of its cases and its judge.
    """

    def rule(review: Review) -> Iterator[Violation]:
        run = {operation.release for operation in review.plan.operations if operation.kind == "evaluate"}
        found = {one.release: one for one in review.plan.evaluations if not one.stale}
        stale = {one.release: one for one in review.plan.evaluations if one.stale}
        for change in review.changes:
            release = review.plan.to_release.get(change.line)
            if change.after.artifact.kind not in kinds or release is None or release in run or release in found:
                continue
            why = f"{stale[release]}" if release in stale else "no suite was run on it"
            remedy = "Declare a suite under 'rollout: {evaluate: …}', or run 'rollcast evaluate'."
            path = review.artifact_path(change.after.reference)
            yield Violation(f"{change.after.reference} changes in {release}: {why}.", path, remedy)

    return register(rule, name, level, "what was measured is what serves")


__all__ = ["evaluated_on_this_content"]
