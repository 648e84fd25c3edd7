"""When an environment is looked at again."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from rollcast.stacks.following.schedule import LastLook, Pace, RolloutState, due_at_s

_pace = st.builds(Pace, st.integers(1, 60), st.integers(60, 7200))
_last = st.builds(
    LastLook, st.integers(0, 10**6), st.sampled_from(RolloutState), st.just("a"), st.just((3, 7)),
    st.integers(0, 10_000), st.none() | st.integers(0, 2 * 10**6),
)  # fmt: skip
_MOVES = {RolloutState.UNDER_WAY, RolloutState.HELD, RolloutState.ROLLED_BACK, RolloutState.LOCKED}


@given(_last, _pace)
def test_nothing_is_ever_forgotten_and_what_moves_is_looked_at_at_the_usual_pace(last: LastLook, pace: Pace) -> None:
    due_s = due_at_s(last, "a", (3, 7), pace)
    assert last.at_s <= due_s <= last.at_s + max(pace.rest_s, pace.interval_s)
    if last.state in _MOVES:
        assert due_s == last.at_s + pace.interval_s
    elif last.state is not RolloutState.INTERRUPTED:
        assert due_s >= last.at_s + pace.interval_s, "nothing is looked at over and over"


@given(_last, _pace, st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_a_change_is_seen_within_one_interval_and_another_declaration_at_once(
    last: LastLook, pace: Pace, newest: tuple[int, int]
) -> None:
    assert due_at_s(last, "b", newest, pace) <= last.at_s
    if newest != last.newest:
        assert due_at_s(last, "a", newest, pace) <= last.at_s + pace.interval_s


@given(_last, _pace)
def test_what_stays_broken_is_tried_ever_more_seldom(last: LastLook, pace: Pace) -> None:
    failed = replace(last, state=RolloutState.FAILED)
    waits = [due_at_s(replace(failed, failures=n), "a", (3, 7), pace) - last.at_s for n in range(20)]
    assert waits == sorted(waits)
    assert waits[-1] <= max(pace.rest_s, pace.interval_s)


def test_a_release_is_looked_at_again_when_its_time_is_over() -> None:
    waits = LastLook(100.0, RolloutState.WAITING, "a", (1,), due_s=400.0)
    assert due_at_s(waits, "a", (1,), Pace(15, 3600)) == 400.0
    assert due_at_s(replace(waits, due_s=None), "a", (1,), Pace(15, 3600)) == 3700.0
    assert due_at_s(replace(waits, due_s=50.0), "a", (1,), Pace(15, 3600)) == 115.0


def test_what_was_never_looked_at_is_due() -> None:
    assert due_at_s(None, "a", (), Pace(15, 3600)) == 0.0
