"""What an artifact was made from and what was made from it, as trees of text."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.cli.reports.lineage import Lineage


def text_of(lineage: Lineage) -> Iterator[str]:
    """A tree upwards and one downwards for each artifact that is looked at."""
    for number, reference in enumerate(lineage.chosen):
        if number:
            yield ""
        yield _about(lineage, reference)
        makers = sorted(lineage.graph.predecessors(reference))
        made = sorted(lineage.graph.successors(reference))
        yield "  made from" if makers else "  made from nothing that is declared"
        yield from _tree(lineage, reference, "  ", upwards=True)
        yield "  to be rebuilt when it changes" if made else "  nothing is made from it"
        yield from _tree(lineage, reference, "  ", upwards=False)


def _tree(lineage: Lineage, reference: str, indent: str, *, upwards: bool) -> Iterator[str]:
    near = lineage.graph.predecessors(reference) if upwards else lineage.graph.successors(reference)
    following = sorted(near)
    for position, other in enumerate(following):
        last = position == len(following) - 1
        yield f"{indent}{'└─' if last else '├─'} {_about(lineage, other)}"
        yield from _tree(lineage, other, f"{indent}{'   ' if last else '│  '}", upwards=upwards)


def _about(lineage: Lineage, reference: str) -> str:
    artifact = lineage.artifacts.get(reference)
    if artifact is None:
        return f"{reference}  (as its registry says)"
    digest = lineage.digests.get(reference, "")
    parts = [reference, artifact.kind.value, digest[:19] or "not locked"]
    if lineage.used_by.get(reference):
        parts.append(f"serves as {', '.join(lineage.used_by[reference])}")
    return "  ".join(parts)


__all__ = ["text_of"]
