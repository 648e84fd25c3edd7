"""Clocks of replicas that differ: whatever they are, a request is judged at the time at which it ended here."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.stacks.fleet.control import ReplicaState
from rollcast.stacks.rollout.skews import LEAST_S, Skews
from rollcast.stacks.telemetry import RequestRecord
from rollcast.stacks.telemetry.records import request_of

NOW_S = 1_800_000_000.0
RECORD = RequestRecord("r", NOW_S, "u", "default", "rel", None, {}, {})
offsets = st.dictionaries(st.sampled_from("abcd"), st.integers(-(10**6), 10**6).map(lambda whole: whole + 0.5))
ended = st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 100)), max_size=20)


@given(offsets, ended, st.floats(0, 9))
def test_requests_of_replicas_whatever_their_clocks_come_in_the_order_in_which_they_ended(
    offset_s: dict[str, float], requests: list[tuple[str, float]], heard_s: float
) -> None:
    """`heard_s`: how long ago a relay heard it. A replica that says no time is taken at its word."""
    skews = Skews()
    said = [ReplicaState(replica=name, time=NOW_S + o - heard_s, heard_s=heard_s) for name, o in offset_s.items()]
    skews.heard(said, NOW_S)
    records = [
        replace(RECORD, id=str(number), time_s=NOW_S + at_s + offset_s.get(name, 0.0), replica=name)
        for number, (name, at_s) in enumerate(requests)
    ]
    righted = skews.righted(records)
    assert [each.time_s for each in righted] == sorted(each.time_s for each in righted)
    for each in righted:
        assert abs(each.time_s - NOW_S - requests[int(each.id)][1]) < LEAST_S + 1e-3
    found = skews.furthest()
    assert (found is not None) == any(abs(offset) > LEAST_S for offset in offset_s.values())


@pytest.mark.parametrize("time", ["2026-01-01T00:00:00Z", True, float("nan"), float("inf"), 1.8e12, [], None])
def test_a_replica_that_tells_no_time_is_no_reason_to_refuse_it_or_to_move_its_requests(time: Any) -> None:
    state = ReplicaState.model_validate({"replica": "a", "releases": {"rel": 1}, "time": time})
    assert state.releases == {"rel": 1}
    skews = Skews()
    skews.heard([state], NOW_S)
    assert skews.of("a") == 0.0
    assert skews.righted([replace(RECORD, replica="a")]) == [replace(RECORD, replica="a")]


def test_a_record_says_which_replica_it_is_of() -> None:
    data = {"time": NOW_S, "request": "r", "release": "rel", "replica": "a"}
    read = request_of(data)
    assert read is not None
    assert read.replica == "a"
    assert request_of({**data, "replica": 7}) == replace(read, replica=None)


def test_replicas_that_were_are_remembered_within_bounds() -> None:
    skews = Skews()
    skews.heard([ReplicaState(replica=f"r{number}", time=NOW_S + 100) for number in range(12_000)], NOW_S)
    assert skews.of("r0") == 0.0
    assert skews.of("r11999") == 100.0
