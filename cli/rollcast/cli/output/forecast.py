"""A forecast as text for a terminal: how it ends, how answers fare, who is exposed, what it rests on."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.cli.reports.facts import moved_in_words
from rollcast.cli.terminal import paint
from rollcast.simulator.forecast.models import (
    UNPROVED,
    CapacityCost,
    Detection,
    Duration,
    Forecast,
    Interval,
    MetricForecast,
    StageForecast,
)

_SHOWN_STAGES = 40


def text_of(forecast: Forecast) -> str:
    """The whole forecast, for a person."""
    return "\n".join(_lines(forecast))


def _lines(forecast: Forecast) -> Iterator[str]:
    runs = f"{forecast.runs:,} run{'s' if forecast.runs != 1 else ''}"
    if forecast.interrupted:
        runs += f" of {forecast.runs_asked:,} (interrupted: only the finished runs are counted)"
    yield paint(f"Forecast for {forecast.pipeline} in {forecast.environment}", bold=True)
    made = f"{runs}, engine {forecast.engine}, seed {forecast.seed}"
    yield f"  {forecast.requests:,} recorded requests ({_plain(forecast.traffic)}), {made}"
    yield ""
    yield from _outcome(forecast)
    yield from _metrics(forecast)
    yield from _stages(forecast)
    yield from _detection(forecast.detection)
    yield from _stations(forecast)
    for warning in forecast.warnings:
        yield paint(f"Warning: {warning}", "yellow")
    yield paint("Rests on", bold=True)
    for assumption in forecast.assumptions:
        yield f"  · {_plain(assumption)}"


def _plain(text: str) -> str:
    return paint(text)


def _outcome(forecast: Forecast) -> Iterator[str]:
    yield paint("Outcome", bold=True)
    ends = (("promoted", "green"), ("rolled_back", "red"), ("held", "yellow"))
    for name, colour in ends:
        share: float = getattr(forecast.outcome, name)
        known: Interval | None = getattr(forecast.outcome_interval, name) if forecast.outcome_interval else None
        label = f"{name.replace('_', ' '):<12}"
        text = f"  {label} {share:6.1%}" + (f"   ({known[0]:.1%} to {known[1]:.1%})" if known else "")
        plain = name == "promoted" and forecast.proof in UNPROVED
        yield paint(text, colour if share > 0 and not plain else None, dim=share == 0)
    if forecast.proof in UNPROVED:
        yield paint(f"  {UNPROVED[forecast.proof]}", "yellow")
    lasts = duration(forecast.duration_s.p50)
    later = duration(forecast.duration_s.p95)
    yield f"  lasts        {lasts}" + (f" (95 % of runs: at most {later})" if later != lasts else "")
    for name, _ in ends:
        after: Duration | None = getattr(forecast.ends_after_s, name)
        if after is not None and getattr(forecast.outcome, name) < 1:
            yield f"               {name.replace('_', ' ')} after {duration(after.p50)}"
    for moved in forecast.moved:
        yield f"  goes over     {_plain(moved_in_words(moved))}"
    exposure = forecast.exposure
    served = f"{exposure.requests:,.0f} requests of {exposure.users:,.0f} users"
    yield f"  exposed      {served} are served by what is not yet proved"
    if forecast.capacity_cost is not None:
        yield f"  capacity     {_cost(forecast.capacity_cost)}"
    for reason in forecast.reasons:
        yield f"  {reason.probability:6.1%} {_plain(reason.metric)}: {_plain(reason.example)}"
    yield ""


def _cost(cost: CapacityCost) -> str:
    hourly = (cost.before_usd_per_hour, cost.most_usd_per_hour, cost.after_usd_per_hour)
    before, most, after = (f"${usd:,.2f}" for usd in hourly)
    return (
        f"${cost.usd:,.2f} while it lasts, ${cost.baseline_usd:,.2f} without it; an hour: {before} before, "
        f"{most} at most, {after} after"
    )


def _metrics(forecast: Forecast) -> Iterator[str]:
    yield paint("Metrics, without and with the rollout", bold=True)
    several = len({metric.audience for metric in forecast.metrics}) > 1
    rows = [
        (
            metric.name + (f" ({metric.audience})" if several else ""), number(metric.name, metric.baseline),
            number(metric.name, metric.rollout), _difference(metric), _limit(metric), metric.ok,
        )
        for metric in forecast.metrics
        if metric.rollout is not None
    ]  # fmt: skip
    width = max((len(row[0]) for row in rows), default=0)
    for name, before, after, difference, limit, ok in rows:
        line = f"  {name:<{width}}  {before:>10} -> {after:>10}  {difference}{limit}"
        yield paint(line.rstrip(), None if ok else "red")
    yield ""


def _difference(metric: MetricForecast) -> str:
    if metric.difference is None:
        return ""
    text = f"{signed(metric.name, metric.difference):>11}"
    if metric.interval is not None:
        text += f"  [{signed(metric.name, metric.interval[0])}, {signed(metric.name, metric.interval[1])}]"
    return text


def _limit(metric: MetricForecast) -> str:
    if metric.limit is None:
        return ""
    return f"  limit {number(metric.name, metric.limit)}" + ("" if metric.ok else "  BEYOND")


def _stages(forecast: Forecast) -> Iterator[str]:
    stages = [stage for stage in forecast.stages if stage.reached > 0]
    if not stages:
        return
    yield paint("Stages", bold=True)
    for stage in stages[:_SHOWN_STAGES]:
        yield _stage(stage)
    if len(stages) > _SHOWN_STAGES:
        yield f"  … and {len(stages) - _SHOWN_STAGES} more (all of them with --format json)"
    yield ""


def _stage(stage: StageForecast) -> str:
    lasts = duration(stage.seconds) if stage.seconds is not None else ""
    exposed = f"{stage.exposed:,.0f} of {stage.requests:,.0f} requests on the new release" if stage.exposed else ""
    text = f"  {stage.milestone:>3} {_plain(stage.title.split(':')[0] if not stage.exposed else stage.title)}"
    return f"{text:<50} {stage.reached:6.0%}  {lasts:>9}  {exposed}".rstrip()


def _detection(detection: tuple[Detection, ...]) -> Iterator[str]:
    if not detection:
        return
    yield paint("What this rollout would catch", bold=True)
    for found in detection:
        where = f" in {found.component}" if found.component else ""
        what = f"{found.metric} {signed(found.metric, found.regression)}{where}"
        text = f"  {_plain(what)}: caught with {found.probability:.0%}"
        if found.seconds is not None and found.requests_exposed is not None:
            text += f", after {duration(found.seconds)}, {found.requests_exposed:,.0f} requests exposed"
        yield text
    yield ""


def _stations(forecast: Forecast) -> Iterator[str]:
    busy = sorted(forecast.stations, key=lambda station: -station.utilization)[:8]
    if not busy:
        return
    yield paint("Busiest stations", bold=True)
    width = max(len(f"{station.component} {station.artifact}") for station in busy)
    for station in busy:
        name = f"{station.component} {station.artifact}"
        queue = f"longest queue {station.longest_queue:,.0f}" if station.longest_queue else "never a queue"
        yield f"  {_plain(name):<{width}}  {station.utilization:7.1%} busy, {queue}"
    yield ""


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def number(metric: str, value: float | None) -> str:
    """A value in the unit that the metric's name says."""
    if value is None:
        return "-"
    if metric.endswith("_s"):
        return f"{value * 1000:.2f} ms" if abs(value) < 0.1 else f"{value:.3f} s"
    if metric.endswith("_usd"):
        return f"${value:.6f}"
    if metric.endswith("_rate") or metric == "slo_attainment":
        return f"{value:.2%}"
    return f"{value:.4g}"


def signed(metric: str, value: float) -> str:
    """A difference in that unit, with its sign."""
    text = number(metric, abs(value))
    return ("-" if value < 0 else "+") + text
