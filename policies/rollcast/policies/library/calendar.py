"""Guardrails over when a change may be made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.declaration.freezes import WEEKDAYS
from rollcast.policies.errors import PolicyError
from rollcast.policies.rules.review import Review
from rollcast.policies.rules.rule import Level, Policy, Violation, register


def change_freeze(
    windows: Sequence[tuple[str, str]] = (),
    *,
    weekdays: Sequence[str] = (),
    environments: Sequence[str] = (),
    level: Level = "mandatory",
    name: str = "change-freeze",
) -> Policy:
    """Nothing changes on the days of `windows` (first and last day, YYYY-MM-DD) or on `weekdays`.

    `environments`: only there; everywhere but in development environments when it is empty. Why: on some days nobody
    is there to see a rollout go wrong, or the traffic is like none that was simulated. An emergency is an override,
    with its reason. Raises PolicyError on a date or a weekday that is none.
    """
    frozen = [_window(first, last) for first, last in windows]
    for day in weekdays:
        if day not in WEEKDAYS:
            raise PolicyError(f"change_freeze: there is no weekday '{day}'. {did_you_mean(day, WEEKDAYS)}")

    def rule(review: Review) -> Iterator[Violation]:
        here = review.plan.environment in environments if environments else not review.environment.development
        if review.plan.empty or not here:
            return
        for first, last in frozen:
            if first <= review.today <= last:
                remedy = f"Apply after {last}, or declare an override with its reason."
                yield Violation(f"{review.today} is within the change freeze of {first} to {last}.", (), remedy)
        weekday = WEEKDAYS[review.today.weekday()]
        if weekday in weekdays:
            remedy = "Apply on another day, or declare an override with its reason."
            yield Violation(f"{review.today} is a {weekday.capitalize()}: no changes on that day.", (), remedy)

    return register(rule, name, level, "on some days nobody is there to see a rollout go wrong")


def _window(first: str, last: str) -> tuple[date, date]:
    try:
        window = date.fromisoformat(first), date.fromisoformat(last)
    except (TypeError, ValueError):
        raise PolicyError(f"change_freeze: '{first}' to '{last}' are no dates; write YYYY-MM-DD.") from None
    if window[1] < window[0]:
        raise PolicyError(f"change_freeze: {first} to {last} ends before it begins; exchange the two.")
    return window


__all__ = ["change_freeze"]
