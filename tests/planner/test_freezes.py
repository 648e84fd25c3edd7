"""Freezes: one interval of real time each, on the clocks of the people whose freeze it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rollcast.planner.declaration.freezes import WEEKDAYS, Freeze, frozen_at, next_freeze

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
HOUR, WEEK = 3600.0, 7 * 86_400.0
moments = st.integers(1_700_000_000, 2_000_000_000).map(float)
minutes = st.integers(0, 7 * 1440 - 1)


def text_of(minute: int) -> str:
    return f"{WEEKDAYS[minute // 1440]} {minute % 1440 // 60:02d}:{minute % 60:02d}"


def weekly(begin: int, end: int, zone: str = "UTC") -> Freeze:
    return Freeze.model_validate({"from": text_of(begin), "until": text_of(end), "zone": zone})


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@given(now_s=moments, begin=minutes, end=minutes)
def test_without_daylight_saving_a_week_is_a_circle_of_minutes(now_s: float, begin: int, end: int) -> None:
    if begin == end:
        return
    here = datetime.fromtimestamp(now_s, UTC)
    minute = here.weekday() * 1440 + here.hour * 60 + here.minute
    inside = begin <= minute < end if begin < end else not end <= minute < begin
    assert (frozen_at([weekly(begin, end)], now_s) is not None) is inside


@given(now_s=moments, begin=minutes, end=minutes, zone=st.sampled_from(ZONES))
def test_each_occurrence_is_one_interval_of_real_time(now_s: float, begin: int, end: int, zone: str) -> None:
    if begin == end:
        return
    freeze = weekly(begin, end, zone)
    found = frozen_at([freeze], now_s) or next_freeze([freeze], now_s)
    assert found is not None
    assert found.from_s <= max(now_s, found.from_s) < found.until_s or found.until_s == found.from_s
    lasting = ((end - begin) % (7 * 1440)) * 60
    assert abs(found.until_s - found.from_s - lasting) <= HOUR, "an hour more or less where the clocks are changed"
    assert found.from_s - now_s <= WEEK + HOUR
    for share in (0.0, 0.5, 0.999):
        within = found.from_s + share * (found.until_s - found.from_s)
        inside = frozen_at([freeze], within)
        assert found.until_s == found.from_s or (inside is not None and inside.until_s == found.until_s)
    assert frozen_at([freeze], found.until_s) is None or lasting > WEEK - 2 * HOUR


@given(now_s=moments, many=st.lists(st.tuples(minutes, minutes, st.sampled_from(ZONES)), max_size=4))
def test_freezes_that_follow_each_other_are_one(now_s: float, many: list[tuple[int, int, str]]) -> None:
    freezes = [weekly(*each) for each in many if each[0] != each[1]]
    found = frozen_at(freezes, now_s)
    assert (found is not None) is any(frozen_at([each], now_s) is not None for each in freezes)
    if found is not None and found.until_s < now_s + WEEK:
        assert frozen_at(freezes, found.until_s - 1) is not None
        assert frozen_at(freezes, found.until_s) is None, "nothing advances between two that touch"


def test_a_weekend_is_an_hour_longer_or_shorter_where_the_clocks_are_changed() -> None:
    freeze = Freeze.model_validate({"from": "friday 16:00", "until": "monday 08:00", "zone": "Europe/Berlin"})
    lengths = {}
    for day in ("2026-03-28", "2026-06-06", "2026-10-24"):
        found = frozen_at([freeze], at(f"{day} 12:00", "Europe/Berlin"))
        assert found is not None
        lengths[day] = (found.until_s - found.from_s) / HOUR
        assert datetime.fromtimestamp(found.until_s, ZoneInfo("Europe/Berlin")).strftime("%A %H:%M") == "Monday 08:00"
    assert lengths == {"2026-03-28": 63, "2026-06-06": 64, "2026-10-24": 65}


def test_an_hour_that_comes_twice_is_not_frozen_twice() -> None:
    freeze = Freeze.model_validate({"from": "saturday 20:00", "until": "sunday 02:30", "zone": "Europe/Berlin"})
    first = at("2026-10-25 02:29", "Europe/Berlin")
    assert frozen_at([freeze], first) is not None
    assert [frozen_at([freeze], first + minute * 60) is None for minute in (1, 30, 60, 90)] == [True] * 4


def test_a_freeze_of_a_date_is_that_time_and_no_other() -> None:
    freeze = Freeze.model_validate(
        {"from": "2026-12-19 18:00", "until": "2027-01-04 08:00", "zone": "America/New_York", "reason": "holidays"}
    )
    begin, end = at("2026-12-19 18:00", "America/New_York"), at("2027-01-04 08:00", "America/New_York")
    assert [frozen_at([freeze], moment) is None for moment in (begin - 1, begin, end - 1, end)] == [
        True, False, False, True,
    ]  # fmt: skip
    found = next_freeze([freeze], begin - timedelta(days=300).total_seconds())
    assert found is not None
    assert (found.from_s, found.reason) == (begin, "holidays")
    assert next_freeze([freeze], begin) is None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"from": "fryday 16:00", "until": "monday 08:00"}, "'fryday 16:00' is no time"),
        ({"from": "friday 24:00", "until": "monday 08:00"}, "'friday 24:00' is no time"),
        ({"from": "2026-02-30 10:00", "until": "2026-03-02 10:00"}, "'2026-02-30 10:00' is no time"),
        ({"from": "friday 16:00", "until": "2026-03-02 10:00"}, "both dates, or both days"),
        ({"from": "2026-03-02 10:00", "until": "2026-03-02 10:00"}, "is not after 'from'"),
        ({"from": "friday 16:00", "until": "friday 16:00"}, "are one moment"),
        ({"from": "friday 16:00", "until": "monday 08:00", "zone": "Europe/Berlim"}, "no time zone 'Europe/Berlim'"),
        ({"from": "friday 16:00", "until": "monday 08:00", "zone": "../etc/passwd"}, "no time zone"),
    ],
)
def test_what_is_no_freeze_is_refused(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Freeze.model_validate(given)
