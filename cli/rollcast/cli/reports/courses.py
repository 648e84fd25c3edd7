"""The charts of what a forecast expects over time: the traffic, its split, and what the gates know at their looks.

Where the forecast has a band, it is of all its runs; a single course is that of its first run, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rollcast.cli.reports.amounts import count, duration, percent
from rollcast.cli.reports.charts import Chart, Limit, Mark, Series
from rollcast.cli.reports.pictures import PALETTE, order_of_releases, release_name
from rollcast.planner.plan.models import Plan
from rollcast.simulator.forecast.models import Forecast, Known

_TIME = "time since the start of the rollout"
_LEAST, _MOST = 1e-3, 1e12  # e-values are drawn between these


def traffic(plan: Plan, forecast: Forecast) -> Chart | None:
    """Requests a minute over time, by the release that they were sent to, stacked; oldest release at the bottom."""
    moments = forecast.timeline
    releases = order_of_releases(plan)
    shown = [name for name in releases if any(name in moment.releases for moment in moments)]
    if not moments or not shown:
        return None
    tops = [0.0] * len(moments)
    series = []
    for name in shown:
        tops = [top + m.releases.get(name, 0) * 60 / m.seconds for top, m in zip(tops, moments, strict=True)]
        points = [(moment.start_s, top) for moment, top in zip(moments, tops, strict=True)]
        series.append(Series(release_name(plan, name), points, releases.index(name) % PALETTE, filled=True, steps=True))
    return Chart(
        title="Traffic and split over time",
        summary="Requests a minute in the first run, by the release that serves them.",
        x_label=_TIME,
        y_label="requests a minute",
        write_x=duration,
        write_y=count,
        series=series,
        marks=_marks(forecast.evidence),
        stacked=True,
    )


def split(plan: Plan, forecast: Forecast) -> Chart | None:
    """The part of the requests that the old and the declared release serve over time: the first run, 95 % of runs."""
    moments = [moment for moment in forecast.timeline if moment.releases]
    releases = order_of_releases(plan)
    ends = {*plan.from_release.values(), *plan.to_release.values()}
    shown = [name for name in releases if name in ends and any(name in moment.share_intervals for moment in moments)]
    if not shown:
        return None
    series: list[Series] = []
    for name in shown:
        points = [(m.start_s, m.releases.get(name, 0) / sum(m.releases.values())) for m in moments]
        band = [m.share_intervals.get(name, (0.0, 0.0)) for m in moments]
        colour = releases.index(name) % PALETTE
        label = "" if series else "95 % of runs"
        series.append(Series(release_name(plan, name), points, colour, band, label, steps=True))
    return Chart(
        title="Split over time, in all runs",
        summary="The part of the requests that is served by what was live before, and by what is declared. Line: the "
        f"first run. Band: 95 % of {count(forecast.runs)} runs, each as it ended once it has ended.",
        x_label=_TIME,
        y_label="part of the requests",
        write_x=duration,
        write_y=percent,
        series=series,
        top=1.0,
    )


def harm(forecast: Forecast) -> Chart | None:
    """The evidence of harm over time: the e-value of each gate at its looks in the first run, on a scale of powers."""
    series = [
        Series(
            name,
            [(k.at_s, _power(k.e_value_harm)) for k in known if k.e_value_harm is not None],
            i % PALETTE,
            again=frozenset(_first_looks(known).values()),
        )
        for i, (name, known) in enumerate(_by_metric(forecast))
    ]
    limits = sorted({one.e_value_limit for one in forecast.evidence})
    series = [one for one in series if one.points]
    if not series:
        return None
    return Chart(
        title="Evidence of harm over time",
        summary="The e-value of each gate in the first run: how many times better harm explains what was seen than no "
        "harm does. Each milestone begins again. At the limit the rollout goes back.",
        x_label=_TIME,
        y_label="e-value",
        write_x=duration,
        write_y=_written,
        series=series,
        limits=[Limit(_power(one), f"goes back at {one:,.3g}") for one in limits[:1]],
        marks=_marks(forecast.evidence),
        bottom=min(y for one in series for _, y in one.points),
    )


def worse(forecast: Forecast) -> Chart | None:
    """How much worse the new release looks to each gate over time in the first run, in parts of its margin."""
    series = []
    for i, (name, known) in enumerate(_by_metric(forecast)):
        towards = _worse_way(forecast, name)
        seen = [k for k in known if k.difference is not None and k.margin > 0]
        points = [(k.at_s, towards * (k.difference or 0.0) / k.margin) for k in seen]
        series.append(Series(name, points, i % PALETTE, again=frozenset(_first_looks(known).values())))
    series = [one for one in series if one.points]
    if not series:
        return None
    return Chart(
        title="What the gates see over time",
        summary="How much worse each guarded metric looks in the first run, in parts of its margin. Below 0: better. "
        "Wide at first and in each new milestone, when little is known.",
        x_label=_TIME,
        y_label="part of the margin",
        write_x=duration,
        write_y=lambda value: f"{value * 100:.0f} %",
        series=series,
        limits=[Limit(1.0, "margin")],
        marks=_marks(forecast.evidence),
        bottom=min(0.0, *(y for one in series for _, y in one.points)),
    )


def _worse_way(forecast: Forecast, metric: str) -> int:
    """1 where more is worse, -1 where less is: the limit is on that side of the baseline."""
    found = next((m for m in forecast.metrics if m.name == metric and m.limit is not None), None)
    if found is None or found.limit is None or found.baseline is None:
        return 1
    return 1 if found.limit >= found.baseline else -1


def _by_metric(forecast: Forecast) -> Iterator[tuple[str, list[Known]]]:
    for name in dict.fromkeys(one.metric for one in forecast.evidence):
        yield name, [one for one in forecast.evidence if one.metric == name]


def _first_looks(known: Sequence[Known]) -> dict[int, float]:
    """When each milestone is first looked at: there its gates begin again."""
    first: dict[int, float] = {}
    for one in known:
        first.setdefault(one.milestone, one.at_s)
    return first


def _power(e_value: float) -> float:
    return math.log10(min(max(e_value, _LEAST), _MOST))


def _written(power: float) -> str:
    if power >= 3:
        return f"{10**power:,.0f}" if power < 6 else f"1e{power:.0f}"
    return f"{10**power:.3g}" if power > math.log10(_LEAST) else f"< {_LEAST:g}"


def _marks(evidence: Sequence[Known]) -> list[Mark]:
    return [Mark(at_s, f"milestone {index}") for index, at_s in _first_looks(evidence).items() if index >= 0]
