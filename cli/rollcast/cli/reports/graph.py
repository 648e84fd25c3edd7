"""The plan as a graph for the page: frames in order, operations as boxes, arrows for what waits for what.

A frame is what stands under one heading of the plan: the expand, one group's stages, the contract. A frame with more
operations than `MOST` is drawn by rank and kind, each box with its count, and frames after `MOST_FRAMES` are counted,
so that a plan of ten thousand instances is as quick to read and to load as one of ten. Every box is a link to its row
in the table of operations: it works by keyboard and without a script; the script only lights up what a box waits for
and what waits for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rollcast.planner.plan.models import Operation, Plan

MOST = 60
MOST_FRAMES = 24
COLUMNS = 5
BOX_W, BOX_H, GAP_X, GAP_Y, FRAME_PAD, HEAD = 168, 52, 20, 24, 14, 30
_TIP = Markup(
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    'markerUnits="userSpaceOnUse" orient="auto"><path class="tip" d="M0,0L8,4L0,8Z"/></marker></defs>'
)
WIDTH = COLUMNS * BOX_W + (COLUMNS - 1) * GAP_X + 2 * FRAME_PAD


@dataclass(frozen=True, slots=True)
class OperationBox:
    """An operation, or several of one rank and kind."""

    key: str
    kind: str
    label: str
    sub: str
    why: str
    after: tuple[str, ...]
    target: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands under one heading: its boxes in ranks, earliest first."""

    title: str
    ranks: Sequence[Sequence[OperationBox]]
    no_return: bool


def frames_of(plan: Plan) -> list[Frame]:
    """The plan in frames, large ones summed up; those after `MOST_FRAMES` are one frame with only their number."""
    spans: list[tuple[tuple[str, str], list[int]]] = []
    for milestone in plan.milestones:
        key = (milestone.kind, milestone.step)
        if not spans or spans[-1][0] != key:
            spans.append((key, []))
        spans[-1][1].append(milestone.index)
    shown = {index for _, indices in spans[:MOST_FRAMES] for index in indices}
    operations = [operation for operation in plan.operations if operation.milestone in shown]
    by_milestone: dict[int, list[Operation]] = defaultdict(list)
    for operation in operations:
        by_milestone[operation.milestone].append(operation)
    ranks = _ranks(operations)
    frames = [_frame(plan, kind, step, found, by_milestone, ranks) for (kind, step), found in spans[:MOST_FRAMES]]
    left = len(spans) - MOST_FRAMES
    return [*frames, Frame(f"… and {left:,} more of the same kind", (), False)] if left > 0 else frames


def _frame(
    plan: Plan,
    kind: str,
    step: str,
    indices: Sequence[int],
    by_milestone: dict[int, list[Operation]],
    ranks: dict[str, int],
) -> Frame:
    operations = [operation for index in indices for operation in by_milestone[index]]
    boxes = [_box(operation) for operation in operations]
    if len(operations) > MOST:
        boxes = _summed(operations, ranks)
    rank_of = _ranks_of_boxes(boxes)
    grouped: dict[int, list[OperationBox]] = defaultdict(list)
    for box in boxes:
        grouped[rank_of[box.key]].append(box)
    span = f"milestone {indices[0]}" if len(indices) == 1 else f"milestones {indices[0]} to {indices[-1]}"
    title = f"{step or kind} · {span}" if kind == "shift" else f"{kind} · {span}"
    first = plan.milestones[indices[0]]
    return Frame(title, [grouped[rank] for rank in sorted(grouped)], first.point_of_no_return)


def _box(operation: Operation) -> OperationBox:
    label = operation.component or (operation.evaluate.suite if operation.evaluate else operation.kind)
    sub = operation.artifact or ""
    if operation.kind in ("shift", "flag"):
        sub = operation.id.rpartition("/")[2]
    elif operation.kind == "evaluate" and operation.evaluate is not None:
        label, sub = operation.evaluate.suite, f"on {operation.component or operation.release}"
    elif operation.kind == "drain":
        sub = f"at least {operation.wait_s:g} s"
    return OperationBox(operation.id, operation.kind, label, sub, operation.why, operation.after, operation.id)


def _summed(operations: Iterable[Operation], ranks: dict[str, int]) -> list[OperationBox]:
    """One box for each (rank, kind), waiting for the boxes that its operations wait for."""
    groups: dict[tuple[int, str], list[Operation]] = defaultdict(list)
    for operation in operations:
        groups[(ranks[operation.id], operation.kind)].append(operation)
    group_of = {operation.id: key for key, members in groups.items() for operation in members}
    boxes = []
    for key, members in groups.items():
        waits = {group_of[name] for member in members for name in member.after if name in group_of} - {key}
        after = tuple(f"{kind}#{rank}" for rank, kind in sorted(waits))
        sub = f"{len(members):,} operations" if len(members) > 1 else members[0].component or ""
        boxes.append(OperationBox(f"{key[1]}#{key[0]}", key[1], key[1], sub, members[0].why, after, members[0].id))
    return boxes


def _ranks(operations: Sequence[Operation]) -> dict[str, int]:
    """The length of the longest chain that an operation waits for. Operations stand in an order that respects it."""
    ranks: dict[str, int] = {}
    for operation in operations:
        ranks[operation.id] = max((ranks[name] + 1 for name in operation.after if name in ranks), default=0)
    return ranks


def _ranks_of_boxes(boxes: Sequence[OperationBox]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for box in boxes:
        ranks[box.key] = max((ranks[name] + 1 for name in box.after if name in ranks), default=0)
    return ranks


# ---- drawing ------------------------------------------------------------------------------------


PLAN = "The plan as a graph: every box is an operation and leads to its row in the table below"


def graph_svg(frames: Sequence[Frame], rows: Mapping[str, int], label: str = PLAN) -> Markup:
    """The drawing. `rows` numbers the boxes that have a row in the page's table: only those are led to."""
    numbers: dict[str, int] = {}
    parts: list[Markup] = []
    y = 4.0
    for frame in frames:
        drawn, height = _draw(frame, y, numbers, rows)
        parts.append(drawn)
        y += height + 16
    head = Markup('<svg class="graph" viewBox="0 0 {} {:.0f}" width="{}" role="group" aria-label="{}">')
    return head.format(WIDTH + 8, y, WIDTH + 8, label) + _TIP + Markup("").join(parts) + Markup("</svg>")


def _draw(frame: Frame, top: float, numbers: dict[str, int], rows: Mapping[str, int]) -> tuple[Markup, float]:
    if not frame.ranks:
        return Markup('<text class="frame-title" x="{}" y="{:.0f}">{}</text>').format(
            FRAME_PAD + 4, top + 8, frame.title
        ), 8.0
    places, lines = _places(frame, top + HEAD)
    height = HEAD + lines * (BOX_H + GAP_Y) - GAP_Y + FRAME_PAD
    style = "frame no-return" if frame.no_return else "frame"
    parts = [
        Markup('<rect class="{}" x="4" y="{:.0f}" width="{}" height="{:.0f}" rx="10"/>').format(
            style, top, WIDTH, height
        ),
        Markup('<text class="frame-title" x="{}" y="{:.0f}">{}{}</text>').format(
            FRAME_PAD + 4, top + 20, frame.title, " · point of no return" if frame.no_return else ""
        ),
    ]
    boxes = [box for rank in frame.ranks for box in rank]
    for box in boxes:
        numbers.setdefault(box.key, len(numbers))
    for box in boxes:
        ends = [(name, places[name]) for name in box.after if name in places]
        parts += [_arrow(place, places[box.key], numbers[name], numbers[box.key]) for name, place in ends]
    parts += [_link(box, places[box.key], numbers, rows) for box in boxes]
    return Markup("").join(parts), height


def _places(frame: Frame, top: float) -> tuple[dict[str, tuple[float, float]], int]:
    """Where each box stands: a chain runs along the line and wraps; else each rank has lines of its own."""
    cells: dict[str, tuple[int, int]] = {}
    line = 0
    if all(len(rank) == 1 for rank in frame.ranks):
        for position, (box,) in enumerate(frame.ranks):
            cells[box.key] = (position % COLUMNS, position // COLUMNS)
        line = (len(frame.ranks) - 1) // COLUMNS + 1
    else:
        for rank in frame.ranks:
            for position, box in enumerate(rank):
                cells[box.key] = (position % COLUMNS, line + position // COLUMNS)
            line += (len(rank) - 1) // COLUMNS + 1
    places = {
        key: (float(4 + FRAME_PAD + column * (BOX_W + GAP_X)), top + row * (BOX_H + GAP_Y))
        for key, (column, row) in cells.items()
    }
    return places, max(line, 1)


def _arrow(tail: tuple[float, float], head: tuple[float, float], from_: int, to: int) -> Markup:
    (x1, y1), (x2, y2) = tail, head
    if y1 == y2 and x2 > x1:
        path = f"M{x1 + BOX_W:.0f},{y1 + BOX_H / 2:.0f}H{x2:.0f}"
    else:
        start, end = (x1 + BOX_W / 2, y1 + BOX_H), (x2 + BOX_W / 2, y2)
        bend = max(12.0, (end[1] - start[1]) / 2)
        path = f"M{start[0]:.0f},{start[1]:.0f}C{start[0]:.0f},{start[1] + bend:.0f} "
        path += f"{end[0]:.0f},{end[1] - bend:.0f} {end[0]:.0f},{end[1]:.0f}"
    return Markup('<path class="arrow" marker-end="url(#tip)" d="{}" data-from="{}" data-to="{}"/>').format(
        path, from_, to
    )


def _link(box: OperationBox, place: tuple[float, float], numbers: dict[str, int], rows: Mapping[str, int]) -> Markup:
    x, y = place
    target = f"op-{rows[box.target]}" if box.target in rows else "operations"
    waits = " ".join(str(numbers[name]) for name in box.after if name in numbers)
    form = Markup(
        '<a class="box {kind}" href="#{target}" data-key="{key}" data-after="{after}">'
        '<title>{words}</title><rect x="{x:.0f}" y="{y:.0f}" width="{w}" height="{h}" rx="6"/>'
        '<text class="kind" x="{tx:.0f}" y="{ky:.0f}">{kind}</text><text class="name" x="{tx:.0f}" y="{ny:.0f}">{label}'
        '</text><text class="of" x="{tx:.0f}" y="{sy:.0f}">{sub}</text></a>'
    )
    words = f"{box.kind} {box.label} {box.sub}".strip()
    return form.format(
        kind=box.kind, target=target, key=numbers[box.key], after=waits, x=x, y=y, w=BOX_W, h=BOX_H, tx=x + 9,
        ky=y + 14, ny=y + 30, sy=y + 44, label=_cut(box.label), sub=_cut(box.sub), words=f"{words}: {box.why}",
    )  # fmt: skip


def _cut(text: str, longest: int = 23) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def boxes_of(frames: Iterable[Frame]) -> Iterator[OperationBox]:
    """Every box of the drawing, in order."""
    for frame in frames:
        for rank in frame.ranks:
            yield from rank
