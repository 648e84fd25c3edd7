"""Directed graphs as Mermaid text: the only place where a diagram is written.

Ids in the diagram are numbers of our own; names appear only as escaped labels, so no name can add a node, an edge, a
style, a link or a directive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rollcast.cli.reports.escaping import mermaid


@dataclass(frozen=True, slots=True)
class MermaidNode:
    """A box: its key, the lines of its label, and what it looks like (a key of `styles`)."""

    key: str
    label: Sequence[str]
    style: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """An arrow between two keys, with a word on it or none. `dotted` for what is not the main way."""

    tail: str
    head: str
    label: str = ""
    dotted: bool = False


@dataclass(frozen=True, slots=True)
class MermaidFrame:
    """Nodes drawn inside a frame with a title."""

    title: str
    nodes: Sequence[MermaidNode]


def flowchart(
    parts: Iterable[MermaidNode | MermaidFrame],
    edges: Iterable[Edge],
    *,
    direction: str = "LR",
    styles: Mapping[str, str] | None = None,
) -> str:
    """A Mermaid flowchart, without its fence. `styles` maps a node's style to CSS properties of our own making.

    Raises KeyError when an edge names a node that is not among the parts.
    """
    known = styles or {}
    ids: dict[str, str] = {}
    lines = [f"flowchart {direction}"]
    for position, part in enumerate(parts):
        if isinstance(part, MermaidNode):
            lines.append(f"  {_node(part, ids, known)}")
            continue
        lines.append(f'  subgraph s{position}["{mermaid(part.title)}"]')
        lines += [f"    {_node(node, ids, known)}" for node in part.nodes]
        lines.append("  end")
    lines += [f"  {_edge(edge, ids)}" for edge in edges]
    lines += [f"  classDef {name} {css}" for name, css in known.items()]
    return "\n".join(lines)


def _node(node: MermaidNode, ids: dict[str, str], styles: Mapping[str, str]) -> str:
    name = ids.setdefault(node.key, f"n{len(ids)}")
    shown = f":::{node.style}" if node.style in styles else ""
    return f'{name}["{"<br/>".join(mermaid(line) for line in node.label)}"]{shown}'


def _edge(edge: Edge, ids: Mapping[str, str]) -> str:
    arrow = "-.->" if edge.dotted else "-->"
    label = f'|"{mermaid(edge.label)}"|' if edge.label else ""
    return f"{ids[edge.tail]} {arrow}{label} {ids[edge.head]}"
