"""Freezes: when an environment stands still, once or every week.

A freeze is in local time of its zone, so that it follows daylight saving: "friday 16:00" is that hour on the clocks of
people there, whichever week. A moment that the clocks skip is the one an hour later; of one that comes twice, the first
counts. Each occurrence is one interval of real time, so that clocks that are put back do not begin it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from rollcast.planner.declaration.strict import Model

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WEEK = timedelta(days=7)
_HOUR = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class FreezePeriod:
    """One time in which nothing advances: from and until, in seconds since 1970, and why."""

    from_s: float
    until_s: float
    reason: str


class Freeze(Model):
    """A time in which no rollout begins or advances here; what is proved harmful is rolled back all the same."""

    from_: str = Field(
        alias="from", description="when it begins: `2026-12-19 18:00`, once, or `friday 16:00`, every week"
    )
    until: str = Field(description="when it is over, in the same form")
    zone: str = Field("UTC", description="the time zone of both, such as Europe/Berlin")
    reason: str = Field("", max_length=200, description="why, for whoever finds a rollout waiting")

    @model_validator(mode="after")
    def _is_a_time(self) -> Freeze:
        _zone(self.zone)
        begin, end = _at(self.from_), _at(self.until)
        if isinstance(begin, datetime) != isinstance(end, datetime):
            raise ValueError("'from' and 'until' are both dates, or both days of the week")
        if isinstance(begin, datetime) and isinstance(end, datetime) and end <= begin:
            raise ValueError(f"'until' ({self.until}) is not after 'from' ({self.from_})")
        if begin == end:
            raise ValueError("'from' and 'until' are one moment: a week without an end is declared by no freeze")
        return self

    def around(self, now_s: float) -> Iterator[FreezePeriod]:
        """The one occurrence, or those of the week before, of this week and of the next two, in order."""
        zone = _zone(self.zone)
        begin, end = _at(self.from_), _at(self.until)
        if isinstance(begin, datetime) and isinstance(end, datetime):
            yield self._period(begin, end, zone)
            return
        assert isinstance(begin, timedelta)
        assert isinstance(end, timedelta)
        here = datetime.fromtimestamp(now_s, zone).replace(tzinfo=None)
        monday = datetime(here.year, here.month, here.day) - timedelta(days=here.weekday())
        lasting = (end - begin) % _WEEK
        for week in (-1, 0, 1, 2):
            first = monday + week * _WEEK + begin
            yield self._period(first, first + lasting, zone)

    def _period(self, begin: datetime, end: datetime, zone: ZoneInfo) -> FreezePeriod:
        own = self.reason or f"from {self.from_} until {self.until} {self.zone}"
        return FreezePeriod(
            begin.replace(tzinfo=zone).astimezone(UTC).timestamp(),
            end.replace(tzinfo=zone).astimezone(UTC).timestamp(),
            own,
        )


def frozen_at(freezes: Iterable[Freeze], now_s: float) -> FreezePeriod | None:
    """The freeze of a moment, with the end of those that follow it without a gap; None where there is none."""
    periods = sorted(
        (period for freeze in freezes for period in freeze.around(now_s)), key=lambda each: (each.from_s, each.until_s)
    )
    found: FreezePeriod | None = None
    for period in periods:
        if found is None:
            found = period if period.from_s <= now_s < period.until_s else None
        elif period.from_s <= found.until_s < period.until_s:
            found = FreezePeriod(found.from_s, period.until_s, found.reason)
    return found


def next_freeze(freezes: Iterable[Freeze], now_s: float) -> FreezePeriod | None:
    """The first one that begins after a moment, within the next weeks where it comes every week."""
    coming = [period for freeze in freezes for period in freeze.around(now_s) if period.from_s > now_s]
    return min(coming, key=lambda each: each.from_s, default=None)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone '{name}'; write one as Europe/Berlin, or UTC") from None


def _at(text: str) -> datetime | timedelta:
    """A local moment, or the time since Monday began. Raises ValueError."""
    day, _, hour = text.strip().partition(" ")
    clock = _HOUR.fullmatch(hour.strip())
    if clock is not None:
        of_day = timedelta(hours=int(clock[1]), minutes=int(clock[2]))
        if day.lower() in WEEKDAYS:
            return timedelta(days=WEEKDAYS.index(day.lower())) + of_day
        try:
            return datetime.strptime(day, "%Y-%m-%d") + of_day
        except ValueError:
            pass
    raise ValueError(f"'{text}' is no time; write '2026-12-19 18:00', or 'friday 16:00' for every week")


__all__ = ["Freeze", "FreezePeriod", "frozen_at", "next_freeze"]
