"""A forecast in one sentence: how it ends, how often of how many runs, and what is likeliest to go wrong.

Counts come with the 95 % interval that so many runs leave open, so that ten runs do not read like certainty.
"""

from __future__ import annotations

from rollcast.cli.reports.amounts import amount, count, duration, percent
from rollcast.cli.reports.escaping import one_line
from rollcast.cli.reports.page import Tone
from rollcast.simulator.forecast.models import UNPROVED, Detection, Duration, Forecast, Interval, Reason

SURE = 0.9  # of the runs that are promoted, for a promotion that is expected
POWER = 0.8  # of the replays of a regression, which a test is usually planned for
FEW = 20  # runs, below which an interval says more than a share
LATE = ("overdue", "held")
_ENDS = ("promoted", "rolled_back", "held")
_DONE = {"promoted": "Goes through", "rolled_back": "Is rolled back", "held": "Stops and waits for a person"}


def in_one_sentence(forecast: Forecast) -> str:
    """What to expect, with its doubt: the first line of every output of a forecast."""
    end = likeliest(forecast)
    if end == "promoted" and forecast.proof in UNPROVED:
        said = UNPROVED[forecast.proof]
        return f"{said[0].upper()}{said[1:]}"
    after: Duration = getattr(forecast.ends_after_s, end) or forecast.duration_s
    sentence = f"{_DONE[end]} after about {duration(after.p50)}, {chance(forecast, end)}"
    if forecast.runs == 1:
        return f"{sentence}, and one run says little"
    return f"{sentence}; {trouble}" if (trouble := _trouble(forecast, end)) else sentence


def tone_of(forecast: Forecast) -> Tone:
    """How good that is: only a promotion that is as good as sure, within every limit and proved, is."""
    end = likeliest(forecast)
    if end == "rolled_back":
        return "bad"
    sure = end == "promoted" and forecast.outcome.promoted >= SURE and forecast.runs > 1
    within = all(metric.ok for metric in forecast.metrics)
    return "good" if sure and within and forecast.proof not in UNPROVED else "warn"


def likeliest(forecast: Forecast) -> str:
    """The end that most runs come to."""
    return max(_ENDS, key=lambda name: float(getattr(forecast.outcome, name)))


def chance(forecast: Forecast, end: str) -> str:
    """How often a rollout ends so, of how many runs, and what that leaves open."""
    share = float(getattr(forecast.outcome, end))
    known: Interval | None = getattr(forecast.outcome_interval, end) if forecast.outcome_interval else None
    return part_of(round(share * forecast.runs), forecast.runs, known, "run")


def weakest_of(forecast: Forecast) -> Detection | None:
    """The regression that this rollout is least sure to catch."""
    return min(forecast.detection, key=lambda found: found.probability, default=None)


def caught(found: Detection) -> str:
    """A detection in one sentence."""
    text = f"{_regression(found)} is caught {caught_in(found)}"
    if found.seconds is not None:
        text += f", after {duration(found.seconds)}"
    if found.requests_exposed is not None:
        text += f" and {count(found.requests_exposed)} exposed requests"
    return text + "."


def caught_in(found: Detection) -> str:
    """In how many of the replays a regression is caught, as part of a sentence."""
    return f"{_in(found)} {times_caught(found)}"


def _in(found: Detection) -> str:
    """What stands before times_caught: in so many replays, with so great a share."""
    return "in" if found.replays else "with"


def times_caught(found: Detection) -> str:
    """How many replays of a regression are caught, and what that leaves open; their share, of an older forecast."""
    known = found.probability_interval
    if found.replays:
        return part_of(found.caught, found.replays, known, "replay")
    return percent(found.probability) + (f" ({_between(known)})" if known else "")


def cause_of(reason: Reason) -> str:
    """What ends a rollout early, in words."""
    return "time that runs out" if reason.metric in LATE else reason.metric


def part_of(part: int, whole: int, known: Interval | None, what: str = "") -> str:
    """How many of how many, of what where it is said, and what so many leave open."""
    named = f" {what}{'s' if whole != 1 else ''}" if what else ""
    return f"{count(part)} of {count(whole)}{named}" + (f" ({_between(known)})" if known else "")


def _between(known: Interval) -> str:
    return f"{percent(known[0])} to {percent(known[1])}"


def _regression(found: Detection) -> str:
    where = f" in {found.component}" if found.component else ""
    return f"A regression of {found.metric} by {amount(found.metric, found.regression, signed=True)}{where}"


def _trouble(forecast: Forecast, end: str) -> str:
    """What is likeliest to go wrong, or where it ends badly, what ends it so."""
    beyond = [metric for metric in forecast.metrics if not metric.ok]
    if forecast.reasons:
        reason = max(forecast.reasons, key=lambda one: one.probability)
        why = cause_of(reason)
        if end == "promoted":
            runs = count(round(reason.probability * forecast.runs))
            return f"the likeliest trouble is {why}, in {runs} of them"
        return f"most often by {why}: {one_line(reason.example, 160)}"
    if beyond:
        return f"{beyond[0].name} is beyond its limit"
    weakest = weakest_of(forecast)
    if end != "promoted" or weakest is None or weakest.probability >= POWER:
        return ""
    regression = _regression(weakest)
    rarely = f"{_in(weakest)} only {times_caught(weakest)}"
    return f"{regression[0].lower()}{regression[1:]} would be caught {rarely}"


__all__ = [
    "FEW", "LATE", "SURE", "caught", "caught_in", "cause_of", "chance", "in_one_sentence", "likeliest", "times_caught",
    "tone_of", "weakest_of",
]  # fmt: skip
