"""What a driver keeps: read back as it was, also what a newer version kept besides, or refused with that version."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.rollout.state_machine import Position
from rollcast.stacks.base.errors import LedgerError, StackError
from rollcast.stacks.ledger.lease import Holder
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.rollout.evidence import RequestCounts

names = st.text(min_size=1, max_size=6).map(lambda text: f"new_{text}")
others = st.dictionaries(names, st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=3), max_size=3)


@given(own=others, position=others, tally=others, milestone=st.integers(-1, 9), mixed=st.integers(0, 5))
def test_fields_of_a_newer_version_are_left_alone(
    own: dict[str, Any], position: dict[str, Any], tally: dict[str, Any], milestone: int, mixed: int
) -> None:
    before = Checkpoint(Position(milestone=milestone), RequestCounts(mixed=mixed), heard=3).to_json()
    newer = {**before, **own, "position": {**before["position"], **position}, "tally": {**before["tally"], **tally}}
    read = Checkpoint.of(newer)
    assert read.position == Position(milestone=milestone)
    assert read.tally == RequestCounts(mixed=mixed)
    assert read.heard == 3
    assert read.to_json() == newer


@pytest.mark.parametrize(
    ("part", "value"),
    [("position", {"milestone": "between two"}), ("position", None), ("tally", 7), ("tally", None)],
)
def test_what_can_not_be_read_is_refused_with_the_version_that_wrote_it(part: str, value: Any) -> None:
    kept = Checkpoint(Position(milestone=1)).to_json() | {"written_by": "rollcast 99.1", part: value}
    with pytest.raises(StackError, match=r"written by rollcast 99\.1 .*Use the newer"):
        Checkpoint.of(kept)


def test_a_lease_of_a_newer_version_still_says_who_holds_it() -> None:
    holder = Holder.this()
    assert Holder.of({**holder.to_json(), "pod": "a-7"}) == holder
    with pytest.raises(LedgerError, match="another version of rollcast"):
        Holder.of({"pod": "a-7"})
