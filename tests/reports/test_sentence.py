"""One sentence for a forecast: a count and its doubt, never a certainty that so few runs do not give."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.reports.sentence import caught_in, in_one_sentence, tone_of
from rollcast.simulator.forecast.intervals import share_interval
from rollcast.simulator.forecast.models import Detection, OutcomeForecast, OutcomeIntervals
from tests.reports.scenes import example_plan, forecast_for


@given(st.integers(1, 400).flatmap(lambda runs: st.tuples(st.just(runs), st.integers(0, runs))))
def test_it_counts_the_runs_and_says_what_they_leave_open(drawn: tuple[int, int]) -> None:
    runs, promoted = drawn
    shares = {"promoted": promoted / runs, "rolled_back": 1 - promoted / runs, "held": 0.0}
    counts = {"promoted": promoted, "rolled_back": runs - promoted, "held": 0}
    found = forecast_for(example_plan(), runs=runs).model_copy(
        update={
            "outcome": OutcomeForecast(**shares),
            "outcome_interval": OutcomeIntervals(**{end: share_interval(n, runs) for end, n in counts.items()}),
        }
    )
    said = in_one_sentence(found)
    count, of = (int(text.replace(",", "")) for text in re.findall(r"([\d,]+) of ([\d,]+) run", said)[0])
    assert (count, of) == (max(promoted, runs - promoted), runs)
    assert said.startswith("Goes through" if promoted >= runs - promoted else "Is rolled back")
    assert (tone_of(found) == "good") == (promoted >= 0.9 * runs and runs > 1)
    assert runs != 1 or "one run says little" in said


@given(st.integers(1, 200).flatmap(lambda replays: st.tuples(st.just(replays), st.integers(0, replays))))
def test_what_is_caught_is_counted(drawn: tuple[int, int]) -> None:
    replays, caught = drawn
    found = Detection(
        metric="error_rate", regression=0.05, probability=caught / replays, seconds=None, requests_exposed=None,
        probability_interval=share_interval(caught, replays), replays=replays,
    )  # fmt: skip
    assert caught_in(found).startswith(f"in {caught} of {replays} replay")
    assert "%" in caught_in(found)
    assert caught_in(found.model_copy(update={"replays": 0})).startswith("with ")
