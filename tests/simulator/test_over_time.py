"""What a forecast says over time: where 95 % of runs are at each moment, and what the gates knew at their looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.plan.models import Plan
from rollcast.simulator.forecast.models import Moment
from rollcast.simulator.forecast.simulate import simulate
from rollcast.simulator.forecast.timeline import Timeline, banded, known
from rollcast.simulator.replay.replay import Look
from rollcast.simulator.traffic.recording import Traffic

COUNTS = st.fixed_dictionaries({"old": st.integers(0, 50), "new": st.integers(0, 50)})


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    width_s = draw(st.floats(0.5, 50))
    slices = draw(st.lists(COUNTS, min_size=1, max_size=12))
    return tuple(
        Moment(
            start_s=i * width_s,
            seconds=width_s,
            requests=sum(one.values()),
            releases={k: v for k, v in one.items() if v},
        )
        for i, one in enumerate(slices)
    )


@given(st.lists(timelines(), min_size=2, max_size=6))
def test_a_band_is_a_part_of_the_requests_and_leaves_the_first_course_as_it_is(found: list[Timeline]) -> None:
    bands = banded(found, enough=2)
    assert [one.model_copy(update={"share_intervals": {}}) for one in bands] == list(found[0])
    assert all(0 <= low <= high <= 1 for one in bands for low, high in one.share_intervals.values())
    assert banded(found, enough=len(found) + 1) == found[0]


@given(timelines())
def test_the_band_of_runs_that_are_all_alike_is_their_share(found: Timeline) -> None:
    for moment in banded([found] * 3, enough=2):
        total = sum(moment.releases.values())
        for release, count in moment.releases.items():
            low, high = moment.share_intervals[release]
            assert low <= count / total + 1e-9
            assert high >= count / total - 1e-9
            assert high - low < 1e-9


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(1, 40))
def test_the_last_look_of_every_milestone_is_kept_and_not_many_more(looks: list[int], most: int) -> None:
    made = [
        Look(float(i), place, (("m", 0.1, 0.2, 3.0, 0.05),)) for place, count in enumerate(looks) for i in range(count)
    ]
    kept = known(made, most)
    assert len(kept) <= most + len(looks) + 1
    last = {one.milestone: one.at_s for one in kept}
    assert last == {place: float(count - 1) for place, count in enumerate(looks)}
    assert {one.e_value_limit for one in kept} == {20.0}


def test_a_gate_that_led_back_is_seen_to_reach_its_limit(good_plan: Plan, azure_hour: Traffic) -> None:
    forecast = simulate(good_plan, azure_hour, seed=1, detect=0, inject=["violation_rate=0.3@safety"])
    assert [reason.metric for reason in forecast.reasons] == ["violation_rate"]
    found = [one for one in forecast.evidence if one.metric == "violation_rate"]
    assert found[-1].e_value_harm is not None
    assert found[-1].e_value_harm >= found[-1].e_value_limit
    assert all(one.e_value_harm is None or one.e_value_harm < one.e_value_limit for one in found[:-1])
