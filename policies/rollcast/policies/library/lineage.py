"""A guardrail over what was made from what: an index serves beside the embedding model that made its vectors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rollcast.planner.declaration.models import Artifact, ArtifactKind
from rollcast.planner.releases.lineage import fits_instead, makers_of
from rollcast.planner.releases.releases import SlotVersion
from rollcast.policies.library.residency import served
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register


def index_with_its_embedder(*, level: Level = "mandatory", name: str = "index-with-its-embedder") -> Policy:
    """An index that was derived from an embedding model serves beside it, or beside one that its contracts allow.

    Why: queries and passages that two models embed lie in different vector spaces, and retrieval returns nonsense
    without an error. Judged in every release that the plan brings; a pipeline without an embedding model is not judged.
    """

    def rule(review: Review) -> Iterator[Violation]:
        artifacts = {artifact.reference: artifact for artifact in review.declaration.artifacts}
        for state, track, release in served(review):
            serving = [v for v in release.slots.values() if v.artifact.kind == ArtifactKind.EMBEDDING_MODEL]
            for slot, version in release.slots.items() if serving else ():
                for maker in _strangers(version, serving, artifacts):
                    others = ", ".join(sorted({other.reference for other in serving}))
                    message = (
                        f"{version.reference} was derived from {maker}, and {others} embeds on channel {track.id}."
                    )
                    remedy = f"Build an index with {others}, or declare what both provide and the index requires."
                    yield Violation(message, review.component_path(track.id, slot), remedy, state)

    return register(rule, name, level, "two models embed into different vector spaces")


def _strangers(version: SlotVersion, serving: list[SlotVersion], artifacts: Mapping[str, Artifact]) -> Iterator[str]:
    """The embedding models that made an index and that nothing which serves stands for."""
    if version.artifact.kind != ArtifactKind.RETRIEVAL_INDEX:
        return
    for reference in makers_of(version.artifact, artifacts, ArtifactKind.EMBEDDING_MODEL):
        beside = any(other.reference == reference for other in serving)
        if not beside and not fits_instead(version, artifacts[reference], serving):
            yield reference


__all__ = ["index_with_its_embedder"]
