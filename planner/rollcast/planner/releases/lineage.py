"""What was made from what, as one graph: `derived_from` and what registries say. And what no longer fits together.

An artifact is outdated when what it was made from has moved on: another version of that serves beside it, or, for a
dataset, a later one is declared. It may still serve, where a contract says that the two fit; else it is to be rebuilt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollcast.planner.base.values import satisfies
from rollcast.planner.declaration.models import Artifact, ArtifactKind
from rollcast.planner.releases.releases import Release, SlotVersion

if TYPE_CHECKING:
    import networkx as nx

MOST = 6  # that a sentence lists


@dataclass(frozen=True, slots=True)
class Outdated:
    """`artifact` was made from `maker`, and `now` is the version that serves or is declared of that. References."""

    artifact: str
    kind: ArtifactKind
    maker: str
    now: str
    serves: bool

    def __str__(self) -> str:
        where = "serves beside it" if self.serves else "is declared"
        made = "built by" if self.serves else "built from"
        what = self.kind.value.rpartition("-")[2]
        return f"{what} {self.artifact} was {made} {self.maker}, and {self.now} {where}"


def lineage_graph(artifacts: Iterable[Artifact]) -> nx.DiGraph:
    """An arrow from everything that something was made from to what was made from it; nodes are references."""
    import networkx as nx

    graph = nx.DiGraph()
    for artifact in artifacts:
        graph.add_node(artifact.reference)
        graph.add_edges_from((source, artifact.reference) for source in artifact.makers)
    return graph


def all_makers(references: Iterable[str], graph: nx.DiGraph) -> set[str]:
    """Everything that these were made from, through all that lies between."""
    import networkx as nx

    return set().union(*(nx.ancestors(graph, reference) for reference in references if reference in graph))


def makers_of(artifact: Artifact, artifacts: Mapping[str, Artifact], kind: ArtifactKind) -> list[str]:
    """The artifacts of a kind that made another one, through what lies between them; those behind them are not."""
    found: dict[str, None] = {}
    pending, seen = list(artifacts.get(artifact.reference, artifact).makers), set[str]()
    while pending:
        reference = pending.pop()
        if reference in seen or reference not in artifacts:
            continue
        seen.add(reference)
        if artifacts[reference].kind == kind:
            found[reference] = None
        else:
            pending.extend(artifacts[reference].makers)
    return sorted(found)


def fits_instead(version: SlotVersion, maker: Artifact, serving: Iterable[SlotVersion]) -> bool:
    """Whether the contracts say that one of `serving` stands for what made an artifact."""
    wanted = {key: need.value for key, need in version.requires.items() if key in maker.provides}
    return bool(wanted) and any(
        all(satisfies(other.provides.get(key, ""), value) for key, value in wanted.items()) for other in serving
    )


def outdated(releases: Iterable[Release], artifacts: Iterable[Artifact]) -> list[Outdated]:
    """What of some releases was made from something that has moved on, in order of their slots, each once."""
    known = {artifact.reference: artifact for artifact in artifacts}
    graph = lineage_graph(known.values())
    if not graph.number_of_edges():
        return []
    latest: dict[str, Artifact] = {}
    for artifact in known.values():
        other = latest.get(artifact.name)
        if artifact.kind == ArtifactKind.DATASET and (other is None or _later(artifact, other)):
            latest[artifact.name] = artifact
    found: dict[Outdated, None] = {}
    for release in releases:
        serving: dict[str, list[SlotVersion]] = {}
        for version in release.slots.values():
            serving.setdefault(version.artifact.name, []).append(version)
        for version in release.slots.values():
            above = all_makers([version.reference], graph)
            for maker in (known[reference] for reference in sorted(above & known.keys())):
                now = _moved_on(version, maker, serving.get(maker.name, ()), latest)
                if now is not None:
                    found[now] = None
    return list(found)


def to_rebuild(releases: Iterable[Release], artifacts: Iterable[Artifact]) -> list[str]:
    """What is outdated, as one sentence with its remedy; nothing where nothing is."""
    found = [str(one) for one in outdated(releases, artifacts)]
    if not found:
        return []
    more = f"; and {len(found) - MOST:,} more" if len(found) > MOST else ""
    return [f"Out of date: {'; '.join(found[:MOST])}{more}. Rebuild, or declare contracts that say they fit."]


def _moved_on(
    version: SlotVersion, maker: Artifact, beside: Sequence[SlotVersion], latest: Mapping[str, Artifact]
) -> Outdated | None:
    """Why an artifact that was made from `maker` is outdated; None where it is not."""
    kind = version.artifact.kind
    if any(other.reference == maker.reference for other in beside):
        return None
    if beside:
        fits = fits_instead(version, maker, beside)
        return None if fits else Outdated(version.reference, kind, maker.reference, beside[0].reference, True)
    newest = latest.get(maker.name)
    if newest is None or maker.kind != ArtifactKind.DATASET or not _later(newest, maker):
        return None
    return Outdated(version.reference, kind, maker.reference, newest.reference, False)


def _later(one: Artifact, other: Artifact) -> bool:
    return _in_order(one.version) > _in_order(other.version)


def _in_order(version: str) -> list[tuple[int, int, str]]:
    """Sorts versions as people do: 9 before 10, 2026-10 before 2026-11."""
    parts = re.findall(r"\d+|[^\d.+_-]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


__all__ = ["Outdated", "fits_instead", "lineage_graph", "makers_of", "outdated", "to_rebuild"]
