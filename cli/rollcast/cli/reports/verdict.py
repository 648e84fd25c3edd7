"""The verdict of a report: what to think of a plan, first a word, then the reasons. Pure wording; nothing is decided.

The order is that of what forbids most: a guardrail that blocks, then an outcome that is not a promotion, then metrics
beyond their limits and a promotion that is not sure, then what is not known at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rollcast.cli.reports.amounts import amount, count, duration, percent
from rollcast.cli.reports.escaping import one_line
from rollcast.cli.reports.page import Tone
from rollcast.cli.reports.subject import Reality, Subject
from rollcast.planner.base.wording import some_of
from rollcast.simulator.forecast.models import UNPROVED, Detection, Forecast

SURE = 0.9
MOST = 5  # of one kind of reason
_WORDS = {"promoted": "promoted", "rolled_back": "rolled back", "held": "held"}


@dataclass(frozen=True, slots=True)
class Headline:
    """A tone, one headline, and the reasons in the order of their weight."""

    tone: Tone
    headline: str
    reasons: tuple[str, ...]


def verdict_of(subject: Subject) -> Headline:
    """What a reader must know first."""
    blocking = [rule for rule in subject.guardrails if rule.blocks("plan")]
    forecast = subject.forecast
    reasons = tuple(_reasons(subject))
    if subject.reality is not None and subject.reality.outcome is not None:
        return Headline(*_ended(subject.reality), (*_against(subject.reality, forecast),))
    if subject.plan.empty:
        return Headline("plain", "Nothing changes: what is live is what is declared", reasons)
    if blocking:
        names = some_of((rule.policy for rule in blocking), 3)
        return Headline("bad", f"Blocked by {'a guardrail' if len(blocking) == 1 else 'guardrails'}: {names}", reasons)
    if forecast is None:
        return Headline("warn", "Not simulated: nothing is known of how this rollout ends", reasons)
    return Headline(*_outcome(forecast), reasons)


def _ended(real: Reality) -> tuple[Tone, str]:
    """What a rollout that has run came to: that is no forecast any more."""
    outcome = str(real.outcome)
    tones: dict[str, Tone] = {"promoted": "good", "rolled_back": "bad"}
    word = _WORDS.get(outcome, outcome.replace("_", " ")).capitalize()
    return tones.get(outcome, "plain"), f"{word}, after {duration(real.seconds)}"


def _against(real: Reality, forecast: Forecast | None) -> Iterator[str]:
    yield f"Why: {one_line(real.reason)}"
    if forecast is None:
        return
    outcome = str(real.outcome)
    if outcome in _WORDS:
        runs = f"{count(forecast.runs)} run{'s' if forecast.runs != 1 else ''}"
        yield f"The forecast gave {_WORDS[outcome]} {_chance(forecast, outcome)} of {runs}."
    lasts = forecast.duration_s
    yield f"The forecast lasted {duration(lasts.p50)}, and 95 % of its runs at most {duration(lasts.p95)}."


def _outcome(forecast: Forecast) -> tuple[Tone, str]:
    chances = {name: float(getattr(forecast.outcome, name)) for name in _WORDS}
    likely = max(chances, key=lambda name: chances[name])
    beyond = [metric for metric in forecast.metrics if not metric.ok]
    if likely == "promoted" and forecast.proof in UNPROVED:
        said = UNPROVED[forecast.proof]
        return "warn", f"{said[0].upper()}{said[1:]}"
    if forecast.runs == 1:
        word = _WORDS[likely].capitalize()
        return "bad" if likely == "rolled_back" else "warn", f"{word} in the only run, and one run says little"
    runs = f"{count(forecast.runs)} runs"
    if likely != "promoted":
        tone: Tone = "bad" if likely == "rolled_back" else "warn"
        return tone, f"Expected to be {_WORDS[likely]}: {_chance(forecast, likely)} of {runs}"
    if chances["promoted"] < SURE:
        return "warn", f"Promotion is not sure: {_chance(forecast, 'promoted')} of {runs}"
    if beyond:
        return "warn", f"Promoted in {_chance(forecast, 'promoted')} of {runs}, with {beyond[0].name} beyond its limit"
    return "good", f"Expected to be promoted: {_chance(forecast, 'promoted')} of {runs}"


def _chance(forecast: Forecast, name: str) -> str:
    value = float(getattr(forecast.outcome, name))
    known = getattr(forecast.outcome_interval, name) if forecast.outcome_interval else None
    if known is None:
        return percent(value)
    return f"{percent(value)} ({percent(known[0])} to {percent(known[1])})"


def _reasons(subject: Subject) -> Iterator[str]:
    blocking = [rule for rule in subject.guardrails if rule.blocks("plan")]
    yield from (f"Guardrail {rule.policy}: {one_line(rule.message)}" for rule in blocking[:MOST])
    if len(blocking) > MOST:
        yield f"And {len(blocking) - MOST} more guardrails block."
    forecast = subject.forecast
    if forecast is None:
        if not subject.plan.empty:
            yield "Replay recorded traffic through the plan with 'rollcast simulate' to learn how it ends."
        return
    for reason in forecast.reasons[:2]:
        ended = "late" if reason.metric in ("overdue", "held") else f"by {reason.metric}"
        yield f"{percent(reason.probability)} of runs stop {ended}: {one_line(reason.example, 240)}"
    beyond = [metric for metric in forecast.metrics if not metric.ok]
    for metric in beyond[:MOST]:
        values = f"{amount(metric.name, metric.rollout)}, limit {amount(metric.name, metric.limit)}"
        yield f"{metric.name} of {metric.audience} is beyond its limit: {values}"
    if not subject.plan.empty:
        yield _lasts(forecast)
    weakest = min(forecast.detection, key=lambda found: found.probability, default=None)
    if weakest is not None:
        yield caught(weakest)
    if forecast.runs < 20:
        yield "Few runs: the chances have wide intervals. Ask for 200 with --runs 200."


def _lasts(forecast: Forecast) -> str:
    lasts = f"It lasts {duration(forecast.duration_s.p50)}"
    if forecast.duration_s.p95 > 1.02 * forecast.duration_s.p50:
        lasts += f" (95 % of runs at most {duration(forecast.duration_s.p95)})"
    exposed = forecast.exposure
    served = f"{count(exposed.requests)} requests of {count(exposed.users)} users"
    return f"{lasts}; {served} are served by what is not yet proved."


def caught(found: Detection) -> str:
    """A detection in one sentence."""
    where = f" in {found.component}" if found.component else ""
    text = f"A regression of {found.metric} by {amount(found.metric, found.regression, signed=True)}{where} is caught"
    text += f" with {percent(found.probability)}"
    if found.seconds is not None:
        text += f", after {duration(found.seconds)}"
    if found.requests_exposed is not None:
        text += f" and {count(found.requests_exposed)} exposed requests"
    return text + "."
