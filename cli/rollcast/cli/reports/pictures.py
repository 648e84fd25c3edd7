"""The charts of a report: which curves a forecast, several of them, or a rollout that has run are drawn as."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.cli.reports.amounts import amount, count, duration, percent
from rollcast.cli.reports.charts import Chart, Limit, Mark, Point, Ranges, Series, thin
from rollcast.cli.reports.subject import Named, Reality, Subject
from rollcast.planner.plan.models import Plan
from rollcast.planner.rollout.state_machine import trials_of
from rollcast.simulator.forecast.models import Forecast, MetricForecast, StageForecast

PALETTE = 8
_PARTS = 4


def order_of_releases(plan: Plan) -> list[str]:
    """Every release of the plan, in the order in which it first serves; so it has the same colour everywhere."""
    servings = [plan.start, *(milestone.serving for milestone in plan.milestones)]
    return list(dict.fromkeys(share.release for serving in servings for s in serving.values() for share in s[::-1]))


def release_name(plan: Plan, release: str) -> str:
    """A release with the part that it plays."""
    if release in plan.to_release.values():
        return f"{release} (declared)"
    return f"{release} (live before)" if release in plan.from_release.values() else f"{release} (on the way)"


def _marks(forecast: Forecast) -> list[Mark]:
    entered = [stage for stage in forecast.stages if stage.entered_s is not None and stage.reached > 0]
    return [Mark(s.entered_s, f"milestone {s.milestone}") for s in entered if s.entered_s is not None]


def progress(plan: Plan, forecast: Forecast | None, reality: Reality | None) -> Chart | None:
    """When each milestone is reached: the forecast with its band, and what really happened."""
    series: list[Series] = []
    stages = [s for s in forecast.stages if s.entered_s is not None and s.reached > 0] if forecast else []
    if stages:
        points = [(float(s.milestone), s.entered_s or 0.0) for s in stages]
        band = [s.entered_interval_s for s in stages]
        series.append(Series("forecast", points, 0, band, "95 % of runs"))
    if reality is not None:
        real = [(float(r.milestone), r.seconds) for r in reality.reached if not r.rollback]
        if real:
            series.append(Series("what really happened", real, 1))
    if not any(y > 0 for one in series for _, y in one.points):
        return None
    return Chart(
        title="When each milestone is reached" if reality is None else "What really happened, over the forecast",
        summary=_of_progress(plan, series),
        x_label="milestone",
        y_label="time since the start",
        write_x=lambda value: f"{value:.0f}",
        write_y=duration,
        series=series,
        x_is_time=False,
        whole_x=True,
        y_is_time=True,
    )


def _of_progress(plan: Plan, series: Sequence[Series]) -> str:
    text = f"{len(plan.milestones)} milestones."
    if any(one.band_name for one in series):
        text += " The forecast is the mean of the runs that reach the milestone"
        banded = any(next(one.bands(), None) for one in series)
        text += "." if banded else "; a band of 95 % needs 20 runs that reach it."
    return text


def latency(forecast: Forecast) -> Chart | None:
    """Latency quantiles by milestone: with the rollout (with the interval of the difference) and without it."""
    stages = [stage for stage in forecast.stages if stage.metrics and stage.reached > 0]
    names = dict.fromkeys(m.name for s in stages for m in s.metrics if m.name.startswith(("latency_", "ttft_")))
    series = [one for i, name in enumerate(names) for one in _quantile(stages, name, i % PALETTE)]
    if not series or len(series[0].points) < 1:
        return None
    return Chart(
        title="Latency by stage",
        summary="Solid: with the rollout, and a band of 95 % for the difference. Dashed: the same requests without it.",
        x_label="milestone",
        y_label="latency",
        write_x=lambda value: f"{value:.0f}",
        write_y=lambda value: amount("_s", value),
        series=series,
        x_is_time=False,
        whole_x=True,
    )


def _quantile(stages: Sequence[StageForecast], name: str, colour: int) -> Iterator[Series]:
    found = [(s.milestone, m) for s in stages for m in s.metrics if m.name == name and m.rollout is not None]
    known = [(x, m) for x, m in found if m.baseline is not None]
    if not known:  # a first release is compared with nothing
        yield Series(name, [(float(x), m.rollout or 0.0) for x, m in found], colour)
        return
    points = [(float(x), m.rollout or 0.0) for x, m in known]
    band = [_around(metric) for _, metric in known]
    yield Series(name, points, colour, band if any(m.interval for _, m in known) else ())
    yield Series(f"{name} without", [(float(x), m.baseline or 0.0) for x, m in known], colour, dashed=True)


def _around(metric: MetricForecast) -> tuple[float, float]:
    base, value = metric.baseline or 0.0, metric.rollout or 0.0
    if metric.interval is None:
        return value, value
    return min(value, base + metric.interval[0]), max(value, base + metric.interval[1])


def margins(subject: Subject) -> Ranges | None:
    """Every guarded metric's difference as a part of its margin: at 100 % the limit is reached."""
    forecast = subject.forecast
    if forecast is None:
        return None
    rows = []
    for metric in forecast.metrics:
        scaled = in_margins(metric)
        if scaled is not None:
            rows.append((f"{metric.name} of {metric.audience}", [scaled]))
    if not rows:
        return None
    return Ranges(
        title="Evidence of the gates, as the forecast expects it",
        summary="How much worse each guarded metric gets, in parts of its margin, with 95 % intervals. Below 0: better",
        label="part of the margin",
        write=lambda value: percent(value) if value >= 0 else f"{value * 100:.0f} %",
        names=["forecast"],
        rows=rows,
        limit=Limit(1.0, "limit"),
        zero=True,
    )


def in_margins(metric: MetricForecast) -> Point | None:
    """The difference of a metric, where 1 is its margin and more is worse; None where no gate watches it."""
    if metric.limit is None or metric.baseline is None or metric.difference is None:
        return None
    margin = metric.limit - metric.baseline
    if margin == 0:
        return None
    low, high = metric.interval or (metric.difference, metric.difference)
    ends = sorted((low / margin, high / margin))
    return Point(0, metric.difference / margin, ends[0], ends[1])


def exposure(plan: Plan, forecast: Forecast) -> Chart | None:
    """Requests that are served by what is not yet proved, added up over time."""
    total, points = 0.0, [(0.0, 0.0)]
    trials = trials_of(plan)
    for stage in forecast.stages:
        if stage.entered_s is None or stage.seconds is None or stage.milestone not in trials:
            continue
        points.append((max(stage.entered_s, points[-1][0]), total))
        total += stage.exposed * stage.reached
        points.append((max(stage.entered_s + stage.seconds, points[-1][0]), total))
    if total == 0:
        return None
    return Chart(
        title="Exposure over time",
        summary=f"{count(total)} requests in all, mean over {count(forecast.runs)} runs.",
        x_label="time since the start of the rollout",
        y_label="requests exposed so far",
        write_x=duration,
        write_y=count,
        series=[Series("requests on a release that is not yet proved", thin(points), 1)],
        marks=_marks(forecast),
    )


def outcomes(forecasts: Sequence[Named]) -> Ranges:
    """How likely each forecast is promoted and rolled back."""
    rows = []
    for named in forecasts:
        outcome, known = named.forecast.outcome, named.forecast.outcome_interval
        points = []
        for position, name in enumerate(("promoted", "rolled_back", "held")):
            value = float(getattr(outcome, name))
            low, high = getattr(known, name) if known else (value, value)
            points.append(Point(position, value, low, high))
        rows.append((named.name, points))
    return Ranges(
        title="How it ends",
        summary="The chance of each end, with its 95 % interval for the number of runs.",
        label="probability",
        write=lambda value: f"{value * 100:.0f} %",
        names=["promoted", "rolled back", "held"],
        rows=rows,
    )


def differences(forecasts: Sequence[Named]) -> Iterator[Ranges]:
    """The guarded metrics of several forecasts, in parts of their margins."""
    keys = dict.fromkeys(
        (m.name, m.audience) for named in forecasts for m in named.forecast.metrics if in_margins(m) is not None
    )
    for name, audience in list(keys)[:_PARTS]:
        rows = []
        for named in forecasts:
            metric = next((m for m in named.forecast.metrics if (m.name, m.audience) == (name, audience)), None)
            point = in_margins(metric) if metric else None
            if point is not None:
                rows.append((named.name, [point]))
        yield Ranges(
            title=f"{name} of {audience}",
            summary="How much worse it gets, as a part of the margin, with 95 % intervals.",
            label="part of the margin",
            write=lambda value: f"{value * 100:.0f} %",
            names=["difference"],
            rows=rows,
            limit=Limit(1.0, "limit"),
            zero=True,
        )
