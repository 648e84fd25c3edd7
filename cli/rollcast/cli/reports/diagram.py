"""A plan as a Mermaid diagram, small enough for a code host to draw: its steps in a row, or every operation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rollcast.cli.reports.amounts import duration
from rollcast.cli.reports.graph import Frame, OperationBox
from rollcast.cli.reports.mermaid import Edge, MermaidFrame, MermaidNode, flowchart
from rollcast.cli.reports.steps import PlanStep
from rollcast.simulator.forecast.models import Forecast

# Code hosts draw at most 500 edges and 50,000 characters; more than this many boxes nobody reads.
MOST_BOXES = 48
MOST_STEPS = 6  # in a row
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


def mermaid_of_steps(steps: Sequence[PlanStep], forecast: Forecast | None) -> str:
    """The steps in a row: what moves, who and how much, and how long the forecast expects it to last."""
    lasts = {stage.milestone: stage.seconds for stage in forecast.stages if stage.reached} if forecast else {}
    nodes = []
    for step in steps[:MOST_STEPS]:
        known = [seconds for stage in step.stages if (seconds := lasts.get(stage.index)) is not None]
        said = [f"about {duration(sum(known))}"] if known else []
        style = "retire" if step.in_place or step.paused else "shift"
        nodes.append(MermaidNode(str(step.number), [f"{step.number}  {step.name}", step.who, *said], style))
    if len(steps) > MOST_STEPS:
        nodes.append(MermaidNode("more", [f"… and {len(steps) - MOST_STEPS} more steps"]))
    if not nodes:
        nodes.append(MermaidNode("none", ["nobody changes release"]))
    edges = [Edge(one.key, other.key) for one, other in pairwise(nodes)]
    return flowchart(nodes, edges, styles={k: v for k, v in _STYLES.items() if k in {node.style for node in nodes}})


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
