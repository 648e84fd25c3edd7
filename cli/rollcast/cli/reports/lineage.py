"""What an artifact was made from and what was made from it: a graph, as Mermaid and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import networkx as nx

from rollcast.cli.reports.mermaid import Edge, MermaidNode, flowchart
from rollcast.planner.declaration.models import Artifact
from rollcast.planner.releases.lineage import lineage_graph
from rollcast.stacks.artifacts.lock import Lock

_STYLES = {
    "chosen": "fill:#e7f0f9,stroke:#0f62a8,color:#111",
    "declared": "fill:#eef1f4,stroke:#4a5560,color:#111",
    "outside": "fill:#fff,stroke:#4a5560,color:#111,stroke-dasharray:4",
}


@dataclass(frozen=True)
class Lineage:
    """graph: an arrow from each maker to what it made. chosen: the artifacts that are looked at.

    used_by: reference -> the components that it serves in.
    """

    graph: nx.DiGraph
    chosen: list[str]
    artifacts: Mapping[str, Artifact]
    digests: Mapping[str, str]
    used_by: Mapping[str, list[str]]

    @property
    def outside(self) -> list[str]:
        """What only a registry names."""
        return sorted(node for node in self.graph if node not in self.artifacts)


def lineage_of(
    artifacts: Mapping[str, Artifact], locked: Lock | None, chosen: list[str], used_by: Mapping[str, list[str]]
) -> Lineage:
    """The part of the graph that leads to or from some artifacts, what their registries say included."""
    graph = lineage_graph(artifacts.values())
    for reference, makers in (locked.makers() if locked else {}).items():
        if reference in artifacts:
            graph.add_edges_from((maker, reference) for maker in makers)
    near = {other for one in chosen for other in (one, *nx.ancestors(graph, one), *nx.descendants(graph, one))}
    return Lineage(graph.subgraph(near), chosen, artifacts, locked.artifacts if locked else {}, used_by)


def mermaid_of(lineage: Lineage) -> str:
    """The graph as a Mermaid flowchart, makers above."""
    nodes = [
        MermaidNode(node, _label(lineage, node), _style(lineage, node))
        for node in nx.lexicographical_topological_sort(lineage.graph)
    ]
    return flowchart(nodes, [Edge(a, b) for a, b in sorted(lineage.graph.edges)], direction="TB", styles=_STYLES)


def _style(lineage: Lineage, node: str) -> str:
    if node in lineage.chosen:
        return "chosen"
    return "declared" if node in lineage.artifacts else "outside"


def _label(lineage: Lineage, node: str) -> list[str]:
    artifact = lineage.artifacts.get(node)
    return [node, artifact.kind.value if artifact else "as its registry says"]


def json_of(lineage: Lineage) -> dict[str, Any]:
    """Nodes and arrows, for scripts."""
    return {
        "format_version": "1.0",
        "artifacts": [
            {
                "reference": node,
                "kind": lineage.artifacts[node].kind.value if node in lineage.artifacts else None,
                "digest": lineage.digests.get(node),
                "used_by": list(lineage.used_by.get(node, ())),
            }
            for node in nx.lexicographical_topological_sort(lineage.graph)
        ],
        "derived": [{"from": maker, "to": made} for maker, made in sorted(lineage.graph.edges)],
    }


__all__ = ["Lineage", "json_of", "lineage_of", "mermaid_of"]
