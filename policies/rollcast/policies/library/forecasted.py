"""Guardrails over the forecast.

Without a forecast they are not judged, which is no pass: a mandatory one then forbids apply.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register
from rollcast.simulator.forecast.models import Detection, MetricForecast


def forecast_within_limits(*, level: Level = "mandatory", name: str = "forecast-within-limits") -> Policy:
    """No metric of the forecast is beyond the limit that it was given there.

    Why: what the simulator already sees go wrong need not be shown to users.
    """

    def rule(review: Review) -> Iterator[Violation]:
        for metric in review.forecast_or_not_judged.metrics:
            if not metric.ok:
                limit = "" if metric.limit is None else f", and {metric.limit:g} is the limit"
                value = "without a value" if metric.rollout is None else f"at {metric.rollout:g}"
                message = f"{metric.name} of {metric.audience} is forecast {value}{limit}."
                yield Violation(message, ("rollout",), "Correct the release, or give it more capacity.")

    return register(rule, name, level, "what the simulator sees go wrong need not be shown to users")


def latency_budget(
    metric: str = "latency_p95_s",
    *,
    most_s: float,
    audiences: Sequence[str] = (),
    level: Level = "mandatory",
    name: str | None = None,
) -> Policy:
    """The forecast of a latency stays within `most_s` seconds, the upper end of its interval included.

    Why: a release that is only fast enough on average luck is too slow on some days.
    """
    return _budget(metric, most_s, "s", audiences, level, name or f"latency-budget-{metric.replace('_', '-')}")


def cost_budget(
    metric: str = "cost_usd",
    *,
    most_usd: float,
    audiences: Sequence[str] = (),
    level: Level = "mandatory",
    name: str = "cost-budget",
) -> Policy:
    """The forecast cost of a request stays within `most_usd`, the upper end of its interval included.

    Why: a release that costs twice as much is a decision, not a side effect.
    """
    return _budget(metric, most_usd, "USD", audiences, level, name)


def _budget(metric: str, most: float, unit: str, audiences: Sequence[str], level: Level, name: str) -> Policy:
    def rule(review: Review) -> Iterator[str | Violation]:
        found = [m for m in review.forecast_or_not_judged.metrics if m.name == metric]
        wanted = [m for m in found if not audiences or m.audience in audiences]
        if not wanted:
            known = ", ".join(sorted({m.name for m in review.forecast_or_not_judged.metrics}))
            yield f"the forecast has no {metric} to hold against {most:g} {unit}; it has {known or 'no metrics'}."
        for one in wanted:
            worst = _worst(one)
            if worst is None:
                yield f"{metric} of {one.audience} has no value in the forecast; {most:g} {unit} is the budget."
            elif worst > most:
                message = f"{metric} of {one.audience} is forecast at up to {worst:g} {unit}; {most:g} is the budget."
                yield Violation(message, ("rollout",), "Make the release lighter, or raise the budget in the policies.")

    return register(rule, name, level, "a release that costs more is a decision, not a side effect")


def _worst(metric: MetricForecast) -> float | None:
    """The rollout's value with the difference at the upper end of its interval; None without a value."""
    if metric.rollout is None:
        return None
    if metric.interval is None or metric.baseline is None:
        return metric.rollout
    return max(metric.rollout, metric.baseline + metric.interval[1])


def detection_power(
    probability: float = 0.8,
    *,
    metrics: Sequence[str] = (),
    regression: float | None = None,
    level: Level = "mandatory",
    name: str = "detection-power",
) -> Policy:
    """This very rollout would catch a regression of every guarded metric with at least this `probability`.

    `regression`: judge those at least this large; by default the largest that the forecast tried for each metric. Why:
    a gate that can't see the harm in the time and the traffic that it is given is no gate.
    """

    def rule(review: Review) -> Iterator[str | Violation]:
        found = review.forecast_or_not_judged.detection
        names = sorted({one.metric for one in found} & set(metrics) if metrics else {one.metric for one in found})
        for missing in sorted(set(metrics) - set(names)):
            yield f"the forecast does not say how surely a regression of {missing} is caught."
        for metric in names:
            tried = [one for one in found if one.metric == metric]
            if regression is not None:
                tried = [one for one in tried if one.regression >= regression]
            if not tried:
                yield f"the forecast tried no regression of {metric} as large as {regression:g}."
                continue
            chosen = min(tried, key=_size) if regression is not None else max(tried, key=_size)
            if chosen.probability < probability:
                message = (
                    f"a regression of {metric} by {chosen.regression:g} would be caught with probability "
                    f"{chosen.probability:.2f}; {probability:.2f} is required."
                )
                remedy = "Give the steps more traffic or time ('percent', 'bake'), or a gate a wider margin."
                yield Violation(message, ("rollout", "gates"), remedy)

    return register(rule, name, level, "a gate that can't see the harm is no gate")


def _size(detection: Detection) -> float:
    return detection.regression


__all__ = ["cost_budget", "detection_power", "forecast_within_limits", "latency_budget"]
