"""Forecasts of several ways to the same release, side by side: how they end, how long they take, whom they expose."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import ascii_uppercase
from typing import Any

from rollcast.cli.output.columns import columns
from rollcast.cli.reports.amounts import UNKNOWN, amount, count, duration
from rollcast.cli.reports.escaping import markdown
from rollcast.cli.reports.sentence import part_of, weakest_of
from rollcast.cli.terminal import paint
from rollcast.simulator.forecast.models import Detection, Forecast
from rollcast.simulator.tuning.search import users_harmed

FORMAT_VERSION = "1.0"
MOST = len(ascii_uppercase)
SAME_LUCK = "All of them with the same traffic and the same seed."
_Key = tuple[str, str, float]


def text_of(forecasts: Mapping[str, Forecast], luck: str = SAME_LUCK) -> str:
    """The ways by letter, the table, below it which is best in what, and with what luck."""
    named = [f"{letter}  {paint(name)}" for letter, name in zip(ascii_uppercase, forecasts, strict=False)]
    head, *rest = columns(list(_rows(list(forecasts.values()))))
    return "\n".join([*named, "", paint(head, bold=True), *rest, "", *best_of(forecasts), luck])


def markdown_of(forecasts: Mapping[str, Forecast], luck: str = SAME_LUCK) -> str:
    """The same for a pull request."""
    head, *rows = _rows(list(forecasts.values()))
    named = [f"- **{letter}** {markdown(name)}" for letter, name in zip(ascii_uppercase, forecasts, strict=False)]
    bars = [f"| {' | '.join(markdown(cell) for cell in row)} |" for row in rows]
    table = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *bars]
    return "\n".join([*named, "", *table, "", " ".join([*best_of(forecasts), luck])])


def json_of(forecasts: Mapping[str, Forecast]) -> dict[str, Any]:
    """Every forecast whole, by the name of its way, in the order in which they were named."""
    compared = [{"name": name, "forecast": forecast.to_json()} for name, forecast in forecasts.items()]
    return {"format_version": FORMAT_VERSION, "compared": compared}


def best_of(forecasts: Mapping[str, Forecast]) -> Iterator[str]:
    """Which way is best by each measure, as sentences; where all are alike nothing is said."""
    measures: list[tuple[str, Callable[[Forecast], float]]] = [
        ("Soonest through", _through_s),
        ("Fewest users exposed", lambda forecast: forecast.exposure.users),
        ("Fewest users harmed", users_harmed),
        ("Surest of what it catches least", _least_caught),
    ]
    for said, measure in measures:
        values = [measure(forecast) for forecast in forecasts.values()]
        first = [letter for letter, value in zip(ascii_uppercase, values, strict=False) if value == min(values)]
        if len(first) < len(values) and min(values) < math.inf:
            yield f"{said}: {', '.join(first)}."


def _rows(forecasts: Sequence[Forecast]) -> Iterator[list[str]]:
    yield ["", *ascii_uppercase[: len(forecasts)]]
    yield ["goes through", *map(_promoted, forecasts)]
    yield ["lasts", *(duration(one.duration_s.p50) for one in forecasts)]
    yield ["95 % are over within", *(duration(one.duration_s.p95) for one in forecasts)]
    yield ["users exposed", *(count(one.exposure.users) for one in forecasts)]
    yield ["requests exposed", *(count(one.exposure.requests) for one in forecasts)]
    if any(one.capacity_cost is not None for one in forecasts):
        yield ["capacity meanwhile", *map(_capacity, forecasts)]
    yield ["beyond its limit", *map(_beyond, forecasts)]
    for key in dict.fromkeys(_key(found) for one in forecasts for found in one.detection):
        metric, component, regression = key
        found = [next((each for each in one.detection if _key(each) == key), None) for one in forecasts]
        where = f" in {component}" if component else ""
        yield [f"catches {metric} {amount(metric, regression, signed=True)}{where}", *map(_caught, found)]
        yield ["  after", *map(_after, found)]
        yield ["  users harmed", *map(_met, found)]


def _promoted(forecast: Forecast) -> str:
    share = forecast.outcome.promoted
    known = forecast.outcome_interval.promoted if forecast.outcome_interval else None
    return part_of(round(share * forecast.runs), forecast.runs, known)


def _capacity(forecast: Forecast) -> str:
    found = forecast.capacity_cost
    return f"${found.usd:,.2f}" if found is not None else UNKNOWN


def _beyond(forecast: Forecast) -> str:
    return ", ".join(dict.fromkeys(metric.name for metric in forecast.metrics if not metric.ok)) or "nothing"


def _through_s(forecast: Forecast) -> float:
    """Seconds until it is through, in the middle of the runs that are; what never is, is never soonest."""
    return forecast.ends_after_s.promoted.p50 if forecast.ends_after_s.promoted is not None else math.inf


def _least_caught(forecast: Forecast) -> float:
    """The less, the surer it is of the regression that it is least sure to catch."""
    found = weakest_of(forecast)
    return -found.probability if found is not None else 0.0


def _key(found: Detection) -> _Key:
    return found.metric, found.component, found.regression


def _caught(found: Detection | None) -> str:
    return part_of(found.caught, found.replays, found.probability_interval) if found is not None else "not replayed"


def _met(found: Detection | None) -> str:
    return count(found.users_harmed) if found is not None and found.users_harmed is not None else UNKNOWN


def _after(found: Detection | None) -> str:
    if found is None or found.seconds is None:
        return UNKNOWN
    exposed = f", {count(found.requests_exposed)} requests" if found.requests_exposed is not None else ""
    return f"{duration(found.seconds)}{exposed}"


__all__ = ["MOST", "best_of", "json_of", "markdown_of", "text_of"]
