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
from rollcast.cli.reports.sentence import FEW, LATE, caught, chance, in_one_sentence, tone_of, weakest_of
from rollcast.cli.reports.subject import Reality, Subject
from rollcast.planner.base.wording import some_of
from rollcast.simulator.forecast.models import Forecast

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
        yield f"The forecast: {_WORDS[outcome]} {chance(forecast, outcome)}."
    lasts = forecast.duration_s
    yield f"The forecast lasted {duration(lasts.p50)}, and 95 % of its runs at most {duration(lasts.p95)}."


def _outcome(forecast: Forecast) -> tuple[Tone, str]:
    return tone_of(forecast), in_one_sentence(forecast)


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
        ended = "late" if reason.metric in LATE else f"by {reason.metric}"
        yield f"{percent(reason.probability)} of runs stop {ended}: {one_line(reason.example, 240)}"
    beyond = [metric for metric in forecast.metrics if not metric.ok]
    for metric in beyond[:MOST]:
        values = f"{amount(metric.name, metric.rollout)}, limit {amount(metric.name, metric.limit)}"
        yield f"{metric.name} of {metric.audience} is beyond its limit: {values}"
    if not subject.plan.empty:
        yield _lasts(forecast)
    weakest = weakest_of(forecast)
    if weakest is not None:
        yield caught(weakest)
    if forecast.runs < FEW:
        yield f"Few runs: the chances have wide intervals. {FEW * 10} have narrow ones: --runs {FEW * 10}."


def _lasts(forecast: Forecast) -> str:
    lasts = f"It lasts {duration(forecast.duration_s.p50)}"
    if forecast.duration_s.p95 > 1.02 * forecast.duration_s.p50:
        lasts += f" (95 % of runs at most {duration(forecast.duration_s.p95)})"
    exposed = forecast.exposure
    served = f"{count(exposed.requests)} requests of {count(exposed.users)} users"
    return f"{lasts}; {served} are served by what is not yet proved."
