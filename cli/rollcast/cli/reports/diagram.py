"""The plan's frames as a Mermaid diagram, small enough for a code host to draw."""

from __future__ import annotations

from collections.abc import Sequence

from rollcast.cli.reports.graph import Frame, OperationBox
from rollcast.cli.reports.mermaid import Edge, MermaidFrame, MermaidNode, flowchart

# Code hosts draw at most 500 edges and 50,000 characters; more than this many boxes nobody reads.
MOST_BOXES = 48
_STYLES = {
    "provision": "fill:#e6f4ee,stroke:#00785c,color:#111",
    "warm": "fill:#eef1f4,stroke:#4a5560,color:#111",
    "evaluate": "fill:#f5ebf6,stroke:#8a3f8f,color:#111",
    "shift": "fill:#e7f0f9,stroke:#0f62a8,color:#111",
    "flag": "fill:#e7f0f9,stroke:#0f62a8,color:#111",
    "drain": "fill:#f6f6dd,stroke:#6b6b00,color:#111",
    "retire": "fill:#fbebee,stroke:#a8324a,color:#111",
}


def mermaid_of(frames: Sequence[Frame]) -> str:
    """The frames with every box; where that is too much, one box for each frame."""
    boxes = sum(len(rank) for frame in frames for rank in frame.ranks)
    if boxes > MOST_BOXES:
        return _outline(frames)
    parts = [MermaidFrame(frame.title, [_node(box) for rank in frame.ranks for box in rank]) for frame in frames]
    known = {box.key for frame in frames for rank in frame.ranks for box in rank}
    edges = [
        Edge(before, box.key)
        for frame in frames
        for rank in frame.ranks
        for box in rank
        for before in box.after
        if before in known
    ]
    used = {box.kind for frame in frames for rank in frame.ranks for box in rank}
    return flowchart(parts, edges, direction="TB", styles={k: v for k, v in _STYLES.items() if k in used})


def _node(box: OperationBox) -> MermaidNode:
    return MermaidNode(
        box.key, [f"{box.kind} {box.label}", box.sub] if box.sub else [f"{box.kind} {box.label}"], box.kind
    )


def _outline(frames: Sequence[Frame]) -> str:
    nodes = []
    for position, frame in enumerate(frames):
        boxes = sum(len(rank) for rank in frame.ranks)
        kinds = dict.fromkeys(box.kind for rank in frame.ranks for box in rank)
        below = [f"{', '.join(kinds)}; {boxes} steps"] if boxes else []
        nodes.append(MermaidNode(str(position), [frame.title, *below]))
    edges = [Edge(str(i), str(i + 1)) for i in range(len(nodes) - 1)]
    return flowchart(nodes, edges, direction="TB")
