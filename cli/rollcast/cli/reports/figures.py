"""Charts as figures of a page: the drawing, the same values as a table, and the values of the reading line."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence

from rollcast.cli.reports.charts import LEFT, RIGHT, WIDTH, Chart, Ranges, Series, chart_svg, ranges_svg
from rollcast.cli.reports.page import Cell, Figure, Row, Table
from rollcast.cli.terminal import clean

MOST_ROWS = 24


def chart_figure(chart: Chart, anchor: str) -> Figure:
    """A chart over a continuous x."""
    xs = sorted({x for one in chart.series for x, _ in one.points})
    legend = []
    for one in chart.series:
        dashes = " dashed" if one.dashed else ""
        legend.append((one.name, f"{'area' if one.filled else 'line'} c{one.colour}{dashes}"))
        if one.band_name and next(one.bands(), None):
            legend.append((one.band_name, f"band c{one.colour}"))
    return Figure(
        anchor=anchor,
        title=chart.title,
        summary=chart.summary,
        drawing=chart_svg(chart, anchor),
        legend=legend,
        values=_values(chart, xs),
        reading=_reading(chart, xs),
    )


def _reading(chart: Chart, xs: Sequence[float]) -> str:
    """What the page's script shows beside the pointer: places are of the drawing, values are words."""
    if not xs:
        return ""
    low = min([*xs, *(mark.x for mark in chart.marks)])
    high = max([*xs, *(mark.x for mark in chart.marks)])
    rows = [[round(x, 3), chart.write_x(x), [_at(chart, one, x) for one in chart.series]] for x in xs]
    names = [clean(one.name) for one in chart.series]
    place = {"low": low, "high": high if high > low else low + 1, "left": LEFT / WIDTH, "right": 1 - RIGHT / WIDTH}
    return json.dumps({**place, "names": names, "rows": rows}, separators=(",", ":"))


def _at(chart: Chart, one: Series, x: float) -> str:
    """The value of a series at x in words; of steps, the last one before."""
    places = [place for place, _ in one.points]
    index = bisect_left(places, x)
    if index == len(places) or places[index] != x:
        if not one.steps or index == 0:
            return ""
        index -= 1
    value = chart.write_y(one.points[index][1])
    edges = one.band[index] if one.band else None
    if edges is None:
        return value
    low, high = edges
    return f"{value} ({chart.write_y(low)} to {chart.write_y(high)})"


def _values(chart: Chart, xs: Sequence[float]) -> Table:
    every = max(1, math.ceil(len(xs) / MOST_ROWS))
    chosen = xs[::every]
    rows = [
        Row([Cell(chart.write_x(x)), *(Cell(_at(chart, one, x), end=True) for one in chart.series)]) for x in chosen
    ]
    head = [chart.x_label, *(one.name for one in chart.series)]
    note = f"Every {every} points of {len(xs)}." if every > 1 else ""
    return Table(f"Values: {chart.title}", head, rows, folded=True, note=note)


def ranges_figure(chart: Ranges, anchor: str) -> Figure:
    """Rows of values with their intervals."""
    rows = []
    for label, points in chart.rows:
        for point in points:
            interval = f"{chart.write(point.low)} to {chart.write(point.high)}"
            cells = [Cell(label), Cell(chart.names[point.series]), Cell(chart.write(point.value), end=True)]
            rows.append(Row([*cells, Cell(interval, end=True)]))
    return Figure(
        anchor=anchor,
        title=chart.title,
        summary=chart.summary,
        drawing=ranges_svg(chart, anchor),
        legend=[(name, f"dot c{position}") for position, name in enumerate(chart.names)],
        values=Table(f"Values: {chart.title}", ["", "", chart.label, "interval"], rows, folded=True),
    )
