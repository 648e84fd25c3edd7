"""A forecast as text for a terminal: one sentence, then who is exposed, how answers fare, what would be caught."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.cli.output.columns import columns
from rollcast.cli.reports.amounts import amount, between, count, duration, percent
from rollcast.cli.reports.facts import moved_in_words
from rollcast.cli.reports.sentence import caught_in, cause_of, chance, in_one_sentence, tone_of
from rollcast.cli.terminal import paint
from rollcast.simulator.forecast.models import (
    CapacityCost,
    Detection,
    Duration,
    Forecast,
    MetricForecast,
    StageForecast,
)

_SHOWN_STAGES = 40
_COLOURS = {"good": "green", "warn": "yellow", "bad": "red", "plain": None}


def text_of(forecast: Forecast) -> str:
    """The whole forecast, for a person."""
    return "\n".join(_lines(forecast))


def _lines(forecast: Forecast) -> Iterator[str]:
    yield paint(f"{in_one_sentence(forecast)}.", _COLOURS[tone_of(forecast)], bold=True)
    yield from _outcome(forecast)
    for warning in forecast.warnings:
        yield paint(f"Warning: {warning}", "yellow")
    if forecast.warnings:
        yield ""
    yield from _metrics(forecast)
    yield from _stages(forecast)
    yield from _detection(forecast.detection)
    yield from _stations(forecast)
    yield paint("Rests on", bold=True)
    for assumption in forecast.assumptions:
        yield f"  · {_plain(assumption)}"
    yield f"  · {_made(forecast)}"


def _made(forecast: Forecast) -> str:
    runs = f"{forecast.runs:,} run{'s' if forecast.runs != 1 else ''}"
    if forecast.interrupted:
        runs += f" of {forecast.runs_asked:,} (interrupted: only the finished runs are counted)"
    recorded = f"{forecast.requests:,} recorded requests ({_plain(forecast.traffic)})"
    return f"{recorded}, {runs}, engine {forecast.engine}, seed {forecast.seed}"


def _plain(text: str) -> str:
    return paint(text)


def _outcome(forecast: Forecast) -> Iterator[str]:
    yield paint("Outcome", bold=True)
    where = f"{_plain(forecast.pipeline)} in {_plain(forecast.environment)}"
    lasts, later = duration(forecast.duration_s.p50), duration(forecast.duration_s.p95)
    over = f"; 95 % of runs are over within {later}" if later != lasts else ""
    yield f"  {where}: lasts {lasts}{over}"
    for name, word in (("promoted", "goes through"), ("rolled_back", "rolled back"), ("held", "stops")):
        share: float = getattr(forecast.outcome, name)
        after: Duration | None = getattr(forecast.ends_after_s, name)
        if 0 < share < 1:
            yield f"  {word} {chance(forecast, name)}" + (f", after {duration(after.p50)}" if after else "")
    for reason in forecast.reasons:
        yield f"    {percent(reason.probability)} by {_plain(cause_of(reason))}: {_plain(reason.example)}"
    for moved in forecast.moved:
        yield f"  goes over: {_plain(moved_in_words(moved))}"
    exposure = forecast.exposure
    served = f"{count(exposure.requests)} requests of {count(exposure.users)} users"
    users = exposure.users_interval
    doubt = f" ({count(users[0])} to {count(users[1])} in 95 % of runs)" if users else ""
    yield f"  {served}{doubt} are served by what is not yet proved"
    if forecast.capacity_cost is not None:
        yield f"  capacity {_cost(forecast.capacity_cost)}"
    yield ""


def _cost(cost: CapacityCost) -> str:
    hourly = (cost.before_usd_per_hour, cost.most_usd_per_hour, cost.after_usd_per_hour)
    before, most, after = (f"${usd:,.2f}" for usd in hourly)
    return (
        f"${cost.usd:,.2f} while it lasts, ${cost.baseline_usd:,.2f} without it; an hour: {before} before, "
        f"{most} at most, {after} after"
    )


def _metrics(forecast: Forecast) -> Iterator[str]:
    compared = any(metric.baseline is not None for metric in forecast.metrics)
    yield paint("Metrics, without and with the rollout" if compared else "Metrics", bold=True)
    several = len({metric.audience for metric in forecast.metrics}) > 1
    known = [metric for metric in forecast.metrics if metric.rollout is not None]
    rows = [
        [
            metric.name + (f" ({metric.audience})" if several else ""),
            amount(metric.name, metric.baseline) if compared else "", "->" if compared else "",
            amount(metric.name, metric.rollout), _difference(metric), _limit(metric),
        ]
        for metric in known
    ]  # fmt: skip
    for metric, line in zip(known, columns(rows, right={1, 3}), strict=True):
        yield paint(line, None if metric.ok else "red")
    yield ""


def _difference(metric: MetricForecast) -> str:
    if metric.difference is None:
        return ""
    text = amount(metric.name, metric.difference, signed=True)
    return text if metric.interval is None else f"{text} ({between(metric.name, metric.interval, signed=True)})"


def _limit(metric: MetricForecast) -> str:
    if metric.limit is None:
        return ""
    return f"limit {amount(metric.name, metric.limit)}" + ("" if metric.ok else "  BEYOND")


def _stages(forecast: Forecast) -> Iterator[str]:
    stages = [stage for stage in forecast.stages if stage.reached > 0]
    if not stages:
        return
    yield paint("Stages", bold=True)
    yield from columns([_stage(stage) for stage in stages[:_SHOWN_STAGES]], right={0, 2, 3})
    if len(stages) > _SHOWN_STAGES:
        yield f"  … and {len(stages) - _SHOWN_STAGES} more (all of them with --format json)"
    yield ""


def _stage(stage: StageForecast) -> list[str]:
    lasts = duration(stage.seconds) if stage.seconds is not None else ""
    exposed = f"{count(stage.exposed)} of {count(stage.requests)} requests on the new release" if stage.exposed else ""
    title = _plain(stage.title.split(":")[0] if not stage.exposed else stage.title)
    return [str(stage.milestone), title, percent(stage.reached), lasts, exposed]


def _detection(detection: tuple[Detection, ...]) -> Iterator[str]:
    if not detection:
        return
    yield paint("What this rollout would catch", bold=True)
    rows = []
    for found in detection:
        where = f" in {found.component}" if found.component else ""
        what = f"{found.metric} {amount(found.metric, found.regression, signed=True)}{where}"
        after = f"after {duration(found.seconds)}" if found.seconds is not None else ""
        exposed = f"{count(found.requests_exposed)} requests exposed" if found.requests_exposed is not None else ""
        rows.append([_plain(what), caught_in(found), after, exposed])
    yield from columns(rows, right=set())
    yield ""


def _stations(forecast: Forecast) -> Iterator[str]:
    busy = sorted(forecast.stations, key=lambda station: -station.utilization)[:8]
    if not busy:
        return
    yield paint("Busiest stations", bold=True)
    width = max(len(f"{station.component} {station.artifact}") for station in busy)
    for station in busy:
        name = f"{station.component} {station.artifact}"
        queue = f"longest queue {count(station.longest_queue)}" if station.longest_queue else "never a queue"
        yield f"  {_plain(name):<{width}}  {percent(station.utilization, 1):>7} busy, {queue}"
    yield ""
