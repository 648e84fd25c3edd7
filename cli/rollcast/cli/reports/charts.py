"""Charts as SVG: one drawing for the interactive page, the still picture and the printed sheet.

A chart is data (`Chart` over a continuous x, `Ranges` over rows with intervals). `chart_svg` and `ranges_svg` draw it
with classes only; colours are the page's, so the same bytes serve light, dark and paper. Nothing needs a script: the
page's script adds a reading line with values, taken from the same points. Each value is also in a table beside.

Drawn here rather than by a chart library because the page must run under a policy that forbids `eval` and any fetch,
and stay small: a bundled Vega is 0.9 MB for each report, 90 MB of packages, and compiles code at view time.

Long because one drawing has a shape for each kind of series.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rollcast.cli.reports.ticks import Scale, scale_of

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 74, 16, 14, 42
MOST_POINTS = 240
MOST_DOTS = 24
Writer = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """A line over x, with a band around it or none. `colour` is a number of the page's palette.

    The band is None at a point where it is not known; it is drawn between points where it is. At an x of `again` the
    line begins again: it does not go on from the point before.
    """

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    band: Sequence[tuple[float, float] | None] = ()
    band_name: str = ""
    dashed: bool = False
    steps: bool = False
    filled: bool = False
    again: frozenset[float] = frozenset()

    def bands(self) -> Iterator[list[tuple[float, float, float]]]:
        """The parts of the band that can be drawn, each as (x, low, high) of at least two points."""
        part: list[tuple[float, float, float]] = []
        for (x, _), edges in zip(self.points, self.band, strict=True) if self.band else ():
            if edges is not None:
                part.append((x, *edges))
                continue
            if len(part) > 1:
                yield part
            part = []
        if len(part) > 1:
            yield part


@dataclass(frozen=True, slots=True)
class Limit:
    """A value of y that must not be passed."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment on x: a stage begins, the rollout rolled back."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Series over a continuous x. `summary` says in words what is seen: it is what a screen reader reads."""

    title: str
    summary: str
    x_label: str
    y_label: str
    write_x: Writer
    write_y: Writer
    series: Sequence[Series]
    limits: Sequence[Limit] = ()
    marks: Sequence[Mark] = ()
    bottom: float = 0.0
    top: float | None = None
    stacked: bool = False
    x_is_time: bool = True
    y_is_time: bool = False
    whole_x: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A value with its interval, of one of the chart's series."""

    series: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ranges:
    """Rows of values with their intervals: gates against margins, stages, forecasts side by side."""

    title: str
    summary: str
    label: str
    write: Writer
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Point]]]
    limit: Limit | None = None
    zero: bool = False


def thin(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most about `most` points that keep every peak: of each run, those with the least and the greatest y."""
    if len(points) <= most:
        return list(points)
    run = math.ceil(len(points) / (most // 2))
    kept: set[int] = {0, len(points) - 1}
    for start in range(0, len(points), run):
        place = range(start, min(start + run, len(points)))
        kept |= {min(place, key=lambda i: points[i][1]), max(place, key=lambda i: points[i][1])}
    return [points[i] for i in sorted(kept)]


def chart_svg(chart: Chart, name: str) -> Markup:
    """The drawing. `name` is unique in the page."""
    xs = [x for one in chart.series for x, _ in one.points] + [mark.x for mark in chart.marks]
    ys = [y for one in chart.series for _, y in one.points] + [limit.value for limit in chart.limits]
    ys += [edge for one in chart.series for pair in one.band if pair is not None for edge in pair]
    if not xs:
        return Markup("")
    across = Scale(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, LEFT, WIDTH - RIGHT)
    room = (0.12 if chart.marks else 0.04) * (max(ys) - chart.bottom)  # the names of marks stand at the top
    along = scale_of(chart.bottom, chart.top if chart.top is not None else max(ys) + room, HEIGHT - BOTTOM, TOP)
    parts = [*_frame(chart, across, along)]
    for one in reversed(chart.series) if chart.stacked else chart.series:
        parts += _series(one, across, along)
    parts += _limits(chart, along)
    body = Markup("").join(parts)
    return Markup('<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{n}-t {n}-d">').format(
        w=WIDTH, h=HEIGHT, n=name
    ) + _titled(name, chart.title, chart.summary, body)


def _titled(name: str, title: str, summary: str, body: Markup) -> Markup:
    form = Markup('<title id="{n}-t">{t}</title><desc id="{n}-d">{d}</desc>{b}</svg>')
    return form.format(n=name, t=title, d=summary, b=body)


def _frame(chart: Chart, across: Scale, along: Scale) -> Iterator[Markup]:
    for value in along.ticks(5, of_time=chart.y_is_time):
        y = along(value)
        yield Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH - RIGHT, y, y)
        yield _text(LEFT - 8, y + 4, chart.write_y(value), "tick end")
    places = across.whole(12) if chart.whole_x else across.ticks(6, of_time=chart.x_is_time)
    for value in places:
        yield _text(across(value), HEIGHT - BOTTOM + 18, chart.write_x(value), "tick middle")
    last = -math.inf
    for mark in sorted(chart.marks, key=lambda mark: mark.x):
        x = across(mark.x)
        yield Markup('<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"><title>{3}</title></line>').format(
            x, TOP, HEIGHT - BOTTOM, mark.label
        )
        if x - last > 78 and x < WIDTH - RIGHT - 40:
            yield _text(x + 4, TOP + 10, mark.label if len(mark.label) < 14 else mark.label[:13] + "…", "note")
            last = x
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, chart.x_label, "axis middle")
    yield Markup('<text class="axis middle" transform="translate(14 {}) rotate(-90)">{}</text>').format(
        (TOP + HEIGHT - BOTTOM) // 2, chart.y_label
    )


def _series(one: Series, across: Scale, along: Scale) -> Iterator[Markup]:
    for part in one.bands():
        upper = _corners([(x, high) for x, _, high in part], one.steps)
        lower = _corners([(x, low) for x, low, _ in part], one.steps)
        shape = _path(upper, across, along, False) + "L" + _path(lower[::-1], across, along, False)[1:] + "Z"
        yield Markup('<path class="band c{}" d="{}"/>').format(one.colour, shape)
    line = _path(one.points, across, along, one.steps, one.again)
    if one.filled:
        floor = along(0.0)
        closed = f"{line}L{across(one.points[-1][0]):.1f},{floor:.1f}L{across(one.points[0][0]):.1f},{floor:.1f}Z"
        yield Markup('<path class="area c{}" d="{}"/>').format(one.colour, closed)
    yield Markup('<path class="line c{}{}" d="{}"/>').format(
        one.colour, " dashed" if one.dashed else " flat" if one.filled else "", line
    )
    if len(one.points) <= MOST_DOTS and not one.steps:
        dot = Markup('<circle class="dot-on c{}" cx="{:.1f}" cy="{:.1f}" r="3"/>')
        yield from (dot.format(one.colour, across(x), along(y)) for x, y in one.points)


def _path(
    points: Sequence[tuple[float, float]],
    across: Scale,
    along: Scale,
    steps: bool,
    again: frozenset[float] = frozenset(),
) -> str:
    drawn = [f"{'M' if x in again else 'L'}{across(x):.1f},{along(y):.1f}" for x, y in _corners(points, steps)]
    return "M" + "".join(drawn)[1:]


def _corners(points: Sequence[tuple[float, float]], steps: bool) -> list[tuple[float, float]]:
    """The points, and of steps their corners: a value holds until the next one."""
    found: list[tuple[float, float]] = []
    for x, y in points:
        if steps and found:
            found.append((x, found[-1][1]))
        found.append((x, y))
    return found


def _limits(chart: Chart, along: Scale) -> Iterator[Markup]:
    for limit in chart.limits:
        y = along(limit.value)
        yield Markup('<line class="limit" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(LEFT, WIDTH - RIGHT, y, y)
        yield _text(WIDTH - RIGHT - 4, y + 13 if chart.marks else y - 5, limit.label, "note end")


def _text(x: float, y: float, text: str, kind: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text)


# ---- rows with intervals ------------------------------------------------------------------------

ROW, LABELS = 34, 230


def ranges_svg(chart: Ranges, name: str) -> Markup:
    """The drawing: one row each, a dot for the value, a bar for its interval."""
    values = [edge for _, points in chart.rows for p in points for edge in (p.low, p.high, p.value)]
    values = [value for value in values if math.isfinite(value)]
    values += [chart.limit.value] if chart.limit else []
    values += [0.0] if chart.zero else []
    if not values:
        return Markup("")
    spread = max(values) - min(values) or abs(max(values)) or 1.0
    low = min(values) - 0.06 * spread
    across = scale_of(max(low, 0.0) if min(values) >= 0 else low, max(values) + 0.06 * spread, LABELS, WIDTH - RIGHT)
    height = TOP + ROW * len(chart.rows) + BOTTOM
    parts = [*_rows(chart, across, height)]
    head = Markup('<svg class="chart" viewBox="0 0 {w} {h}" role="img" aria-labelledby="{n}-t {n}-d">')
    return head.format(w=WIDTH, h=height, n=name) + _titled(name, chart.title, chart.summary, Markup("").join(parts))


def _rows(chart: Ranges, across: Scale, height: int) -> Iterator[Markup]:
    floor = height - BOTTOM
    for value in across.ticks(5):
        x = across(value)
        yield Markup('<line class="grid" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(x, TOP, floor)
        yield _text(x, floor + 18, chart.write(value), "tick middle")
    if chart.zero:
        yield Markup('<line class="zero" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(across(0), TOP, floor)
    if chart.limit is not None:
        x = across(chart.limit.value)
        yield Markup('<line class="limit" x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}"/>').format(x, TOP, floor)
        yield _text(x - 4, TOP + 8, chart.limit.label, "note end")
    for position, (label, points) in enumerate(chart.rows):
        middle = TOP + ROW * position + ROW / 2
        shown = label if len(label) <= 34 else label[:33] + "…"
        yield _text(LABELS - 10, middle + 4, shown, "tick end")
        for rank, point in enumerate(points):
            yield from _range(chart, point, middle + (rank - (len(points) - 1) / 2) * 9, across, label)
    yield _text((LABELS + WIDTH - RIGHT) / 2, height - 6, chart.label, "axis middle")


def _range(chart: Ranges, point: Point, y: float, across: Scale, label: str) -> Iterator[Markup]:
    ends = [across(min(max(edge, across.low), across.high)) for edge in (point.low, point.high)]
    words = f"{label}, {chart.names[point.series]}: {chart.write(point.value)}"
    words += f" ({chart.write(point.low)} to {chart.write(point.high)})"
    yield Markup('<g class="range c{}"><title>{}</title>').format(point.series, words)
    yield Markup('<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(*ends, y, y)
    yield Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4"/></g>').format(across(point.value), y)
