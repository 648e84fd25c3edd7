"""A plan's operations as a DOT graph: one cluster for each milestone, an arrow for each operation that waits."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.cli.reports.escaping import dot
from rollcast.planner.plan.models import Plan

_COLOURS = {
    "provision": "#e6f4ee",
    "warm": "#eef1f4",
    "evaluate": "#f5ebf6",
    "shift": "#e7f0f9",
    "flag": "#e7f0f9",
    "drain": "#f6f6dd",
    "retire": "#fbebee",
}


def dot_of(plan: Plan) -> str:
    """The graph in the DOT language, for Graphviz."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield "digraph plan {"
    yield "  rankdir=TB; compound=true;"
    yield '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=10];'
    for milestone in plan.milestones:
        yield f"  subgraph cluster_{milestone.index} {{"
        line = "point of no return: " if milestone.point_of_no_return else ""
        yield f'    label={dot(f"{milestone.index}  {line}{milestone.title}")}; fontname="Helvetica"; fontsize=11;'
        if milestone.point_of_no_return:
            yield '    color="#a8324a"; penwidth=2;'
        for operation in plan.operations_of(milestone.index):
            colour = _COLOURS[operation.kind]
            yield f'    {dot(operation.id)} [fillcolor="{colour}", tooltip={dot(operation.why)}];'
        yield "  }"
    for operation in plan.operations:
        yield from (f"  {dot(before)} -> {dot(operation.id)};" for before in operation.after)
    yield "}"


__all__ = ["dot_of"]
