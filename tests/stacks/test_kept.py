"""What is stored says its format: a newer minor is read and written back as it was, a newer major is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.planner.rollout.state_machine import Outcome, Position
from rollcast.stacks.base.errors import FormatError, LedgerError, StackError
from rollcast.stacks.base.formats import FORMAT, StoredModel, read_stored
from rollcast.stacks.ledger import payloads
from rollcast.stacks.ledger.lease import Holder
from rollcast.stacks.ledger.ledger import open_ledger
from rollcast.stacks.ledger.payloads import FinishedBody, OrderedBody, StartedBody
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.rollout.driver import Exit, exit_of
from rollcast.stacks.rollout.evidence import RequestCounts
from tests.reports.scenes import example_plan

names = st.text(min_size=1, max_size=6).map(lambda text: f"new_{text}")
values = st.integers() | st.text(max_size=5) | st.lists(st.booleans(), max_size=3)
others = st.dictionaries(names, values | st.dictionaries(names, values, max_size=2), max_size=3)
minors = st.integers(0, 99).map(lambda minor: f"1.{minor}")
newer = st.integers(2, 10**6).map(lambda major: f"{major}.0") | st.sampled_from(
    ["2", "10.3-beta", "two", "", "²", 1, 2]
)
MODELS: list[type[StoredModel]] = [Checkpoint, RequestCounts, Holder] + [
    found for found in vars(payloads).values() if isinstance(found, type) and issubclass(found, StoredModel)
]


@given(own=others, position=others, tally=others, format_=minors, milestone=st.integers(-1, 9), mixed=st.integers(0, 5))
def test_fields_of_a_newer_version_are_left_alone(
    own: dict[str, Any], position: dict[str, Any], tally: dict[str, Any], format_: str, milestone: int, mixed: int
) -> None:
    before = Checkpoint(position=Position(milestone=milestone), tally=RequestCounts(mixed=mixed), heard=3).to_json()
    kept = {
        **before, **own, "format": format_,
        "position": {**before["position"], **position},
        "tally": {**before["tally"], **tally, "format": format_},
    }  # fmt: skip
    read = Checkpoint.of(kept)
    assert read.position is not None
    assert read.position.milestone == milestone
    assert (read.tally.mixed, read.heard) == (mixed, 3)
    assert read.to_json() == kept


@given(position=others, milestone=st.integers(-1, 2))
def test_a_rollout_carries_along_what_a_newer_version_kept_of_its_position(
    position: dict[str, Any], milestone: int
) -> None:
    kept = Checkpoint(position=Position(milestone=milestone)).to_json()
    kept["position"] |= position
    read = Checkpoint.of(kept)
    rollout = read.rollout(example_plan())
    rollout.pause()
    read.position = rollout.snapshot()
    written = read.to_json()["position"]
    assert {name: written[name] for name in position} == position
    assert written["paused"] is True


@given(format_=newer, model=st.sampled_from(MODELS))
def test_a_newer_major_is_refused_by_its_name_whatever_else_is_there(format_: Any, model: type[StoredModel]) -> None:
    with pytest.raises(FormatError, match=r"in format .*; this rollcast reads 1\.x.*Use a newer rollcast") as refused:
        read_stored(model, {"format": format_}, "This")
    assert f"in format {format_};" in str(refused.value)


@given(format_=newer)
def test_a_newer_major_is_refused_within_another_model_too(format_: Any) -> None:
    kept = Checkpoint(position=Position(milestone=1)).to_json()
    kept["tally"]["format"] = format_
    with pytest.raises(FormatError, match="RequestCounts"):
        Checkpoint.of(kept)


def test_what_was_written_before_there_was_a_format_is_read() -> None:
    kept = Checkpoint(position=Position(milestone=1), tally=RequestCounts(mixed=2)).to_json()
    del kept["format"], kept["tally"]["format"]
    read = Checkpoint.of(kept)
    assert (read.format, read.tally.format, read.tally.mixed) == (FORMAT, FORMAT, 2)


@pytest.mark.parametrize(
    ("part", "value"),
    [("position", {"milestone": "between two"}), ("position", None), ("tally", 7), ("tally", None), ("cursor", 7)],
)
def test_what_can_not_be_read_is_refused_with_the_version_that_wrote_it(part: str, value: Any) -> None:
    kept = Checkpoint(position=Position(milestone=1)).to_json() | {"written_by": "rollcast 99.1", part: value}
    with pytest.raises(StackError, match=r"written by rollcast 99\.1.*Use the newer"):
        Checkpoint.of(kept)


def test_a_lease_of_a_newer_version_still_says_who_holds_it() -> None:
    holder = Holder.this()
    assert Holder.of({**holder.to_json(), "pod": "a-7"}) == holder
    with pytest.raises(LedgerError, match="another version of rollcast"):
        Holder.of({"pod": "a-7"})


@given(format_=newer, kind=st.sampled_from(["started", "reached", "order", "finished", "of a later version"]))
def test_a_record_of_a_newer_major_is_refused_by_every_reader(
    tmp_path_factory: pytest.TempPathFactory, format_: Any, kind: str
) -> None:
    ledger = open_ledger(tmp_path_factory.mktemp("newer"), "p/e")
    ledger.append("note", "ro-1", {"n": 1})
    ledger.append(kind, "ro-1", {"format": format_})
    for read in (ledger.records, lambda: ledger.last(kind)):
        with pytest.raises(FormatError, match=r"Record 1 of p/e .* Use a newer rollcast"):
            read()


@given(more=others, format_=minors)
def test_the_body_of_a_record_keeps_what_a_newer_version_said(
    tmp_path_factory: pytest.TempPathFactory, more: dict[str, Any], format_: str
) -> None:
    ledger = open_ledger(tmp_path_factory.mktemp("newer"), "p/e")
    body = OrderedBody(order="pause").to_json() | more | {"format": format_}
    record = ledger.append("order", "ro-1", body)
    assert record.read(OrderedBody).to_json() == body
    assert ledger.records()[0].computed() == record.hash


def test_a_body_that_lacks_what_every_version_wrote_is_refused_with_its_place(tmp_path: Path) -> None:
    record = open_ledger(tmp_path, "p/e").append("started", "ro-1", {"documents": {}})
    with pytest.raises(LedgerError, match=r"Record 0 of p/e \(started\).*plan_digest"):
        record.read(StartedBody)


@given(st.text(max_size=12).filter(lambda text: text not in set(Outcome)))
def test_an_outcome_of_another_version_is_never_an_exit_code(outcome: str) -> None:
    with pytest.raises(StackError, match="outcome of another version"):
        exit_of(FinishedBody(outcome=outcome, reason="", tally={}).ending)
    assert exit_of(Outcome.ROLLED_BACK) is Exit.ROLLED_BACK
    assert {exit_of(one) for one in Outcome} == {Exit.DONE, Exit.ROLLED_BACK}
