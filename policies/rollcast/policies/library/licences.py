"""A guardrail over licences: what serves, and what it was made from, may be used so."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from rollcast.planner.declaration.models import ArtifactKind
from rollcast.planner.releases.lineage import all_makers, lineage_graph
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register

OF_OTHERS = (
    ArtifactKind.MODEL_WEIGHTS, ArtifactKind.EMBEDDING_MODEL, ArtifactKind.RERANKER, ArtifactKind.STYLE_ADAPTER,
    ArtifactKind.DATASET,
)  # fmt: skip


def licences(
    allowed: Collection[str],
    *,
    kinds: Sequence[ArtifactKind | str] = OF_OTHERS,
    level: Level = "mandatory",
    name: str = "licences",
) -> Policy:
    """Every artifact of these kinds that is to serve, or that one was made from, declares one of these licences.

    Why: weights and data carry terms that outlive them: what is tuned from a model, or indexed from a dataset, too.
    `allowed` are SPDX expressions, compared as they are written.
    """

    def rule(review: Review) -> Iterator[Violation]:
        known = {artifact.reference: artifact for artifact in review.declaration.artifacts}
        serving = {v.reference for _, release in review.declared() for v in release.slots.values()}
        wanted = serving | all_makers(serving, lineage_graph(known.values()))
        for reference in sorted(wanted & known.keys()):
            artifact = known[reference]
            if artifact.kind not in kinds or artifact.license in allowed:
                continue
            said = f"has the licence {artifact.license}" if artifact.license else "declares no licence"
            remedy = f"Use one of {', '.join(sorted(allowed))}, or declare 'license'."
            yield Violation(f"{reference} {said}.", review.artifact_path(reference), remedy)

    return register(rule, name, level, "terms outlive what they were given with")


__all__ = ["licences"]
