"""The page of what was made from what: a drawing with makers above, and a table of every artifact in it."""

from __future__ import annotations

import networkx as nx

from rollcast.cli.reports.graph import Frame, OperationBox, graph_svg
from rollcast.cli.reports.lineage import Lineage
from rollcast.cli.reports.page import Cell, Graph, Page, Row, Section, Table, Tile
from rollcast.cli.reports.rendering import html_of

LABEL = "The lineage as a graph: every box is an artifact and leads to its row in the table below"
READING = (
    "Every box is a link to its row. Point at one, or move to it with Tab, "
    "to see what it was made from and what was made from it."
)


def lineage_page(pipeline: str, lineage: Lineage) -> str:
    """One HTML file, which fetches nothing."""
    order = list(nx.lexicographical_topological_sort(lineage.graph))
    ranks = [[_box(lineage, node) for node in sorted(rank)] for rank in nx.topological_generations(lineage.graph)]
    drawing = graph_svg(
        [Frame("made from what stands above", ranks, False)], {node: i for i, node in enumerate(order)}, LABEL
    )
    head = ["artifact", "kind", "digest", "serves as", "made from"]
    table = Table("Every artifact", head, [_row(lineage, node, i) for i, node in enumerate(order)], searchable=True)
    served = sum(1 for node in order if lineage.used_by.get(node))
    return html_of(
        Page(
            title=f"Lineage of {', '.join(lineage.chosen)}",
            subtitle=f"pipeline {pipeline}",
            tone="plain",
            verdict=f"{len(order)} artifacts, {served} of them in service as declared",
            reasons=[f"{node}: only its registry names it" for node in lineage.outside],
            tiles=[
                Tile("made from nothing declared", str(sum(1 for node in order if not lineage.graph.in_degree(node))))
            ],
            sections=[Section("lineage", "Lineage", [Graph(drawing, "The lineage as a graph", READING), table])],
            label="Lineage",
        )
    )


def _box(lineage: Lineage, node: str) -> OperationBox:
    kind = lineage.artifacts[node].kind.value if node in lineage.artifacts else "in a registry"
    serves = ", ".join(lineage.used_by.get(node, ()))
    why = f"serves as {serves}" if serves else "made from what leads to it"
    makers = tuple(sorted(lineage.graph.predecessors(node)))
    return OperationBox(node, kind, node, f"serves as {serves}" if serves else "", why, makers, node)


def _row(lineage: Lineage, node: str, number: int) -> Row:
    artifact = lineage.artifacts.get(node)
    cells = [
        Cell(node, code=True),
        Cell(artifact.kind.value if artifact else "only its registry names it"),
        Cell(lineage.digests.get(node, "not locked")[:19], code=True),
        Cell(", ".join(lineage.used_by.get(node, ()))),
        Cell(", ".join(sorted(lineage.graph.predecessors(node)))),
    ]
    return Row(cells, f"op-{number}")


__all__ = ["lineage_page"]
