"""What a person sees while a rollout runs: a live view on a terminal; plain lines, or JSON, of the same events."""

from __future__ import annotations

import io
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from rollcast.cli.output.live import LiveView
from rollcast.cli.output.rollout import Lines, emit_json, finite
from rollcast.cli.output.status import measured, not_judged
from rollcast.planner.plan.models import Plan
from rollcast.stacks.base.events import AnyEvent, Event, Progressed, Reached, Started, Working, event_of
from tests.planner.test_rag_search_plan import example_plan

GATE = {
    "metric": "error_rate",
    "verdict": "continue",
    "sentence": "error_rate is inconclusive so far: 0.00 % against 0.00 %",
}
GUARD = {"name": "min_sample", "ok": False, "sentence": "12 of 100 requests seen on the new release"}


def look(plan: Plan, verdict: str = "continue", seen: int = 12) -> Event:
    new, old = next(iter(plan.to_release.values())), next(iter(plan.from_release.values()))
    body = {
        "milestone": 1,
        "verdict": verdict,
        "sentence": GATE["sentence"],
        "gates": [GATE],
        "guards": [GUARD],
        "asked": {new: 0.1},
        "tally": {"stage": {new: seen, old: 88}, "mixed": 0},
        "cleared": False,
    }
    return event_of("look", body)


def events(plan: Plan) -> list[Event]:
    title = plan.milestones[0].title
    return [
        Started(rollout="ro-1", milestones=len(plan.milestones)),
        Working(milestone=0, title=title),
        Progressed(text="building svd@1"),
        Reached(milestone=0, title=title),
        look(plan),
    ]


def test_the_live_view_shows_stages_split_gates_and_mixed_configurations() -> None:
    plan = example_plan()
    console = Console(file=io.StringIO(), force_terminal=True, width=120, record=True, color_system=None)
    view = LiveView(plan, None, console)
    for event in events(plan):
        view.emit(event)
    console.print(view.render())
    text = console.export_text()
    assert plan.milestones[0].title in text
    assert "10% desired" in text.replace(" %", "%")
    assert "12.00 % measured of 100 requests" in text
    assert GATE["sentence"] in text
    assert GUARD["sentence"] in text
    assert "mixed configurations: 0" in text


def test_plain_lines_say_a_verdict_once_until_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    plan, lines = example_plan(), Lines()
    for event in [*events(plan), look(plan, seen=13), look(plan, seen=14), look(plan, "advance", 20)]:
        lines.emit(event)
    out = capsys.readouterr().out.splitlines()
    assert sum("waiting for evidence" in line for line in out) == 1
    assert "10 % desired, 18.52 % measured of 108 requests" in out[-1]


def test_json_is_one_object_a_line_and_never_a_number_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json(Event(event="look", gates=[{"interval": [float("-inf"), float("nan")]}]))
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"event": "look", "gates": [{"interval": [None, None]}]}


def test_requests_without_a_key_and_what_was_left_out_are_shown() -> None:
    found = {"shares": [], "requests": 3, "mixed": 0, "keyless": 2, "unreadable": 1, "absurd": 4, "milliseconds": 5}
    text = measured({**found, "repeated": 6})
    assert "2 requests carry no targeting key" in text
    assert "1 unreadable, 4 from the future, 5 with milliseconds where seconds are needed, 6 repeated" in text
    assert list(not_judged({"keyless": 0})) == []
    plan = example_plan()
    body = look(plan).to_json()
    console = Console(file=io.StringIO(), force_terminal=True, width=120, record=True, color_system=None)
    view = LiveView(plan, None, console)
    view.emit(event_of("look", {**body, "tally": {**body["tally"], "keyless": 7, "unreadable": 1}}))
    console.print(view.render())
    shown = console.export_text()
    assert "7 requests carry no targeting key" in shown
    assert "left out of telemetry: 1 unreadable" in shown


KINDS = [kind.model_fields["event"].default for kind in get_args(AnyEvent)]
BODIES = st.dictionaries(st.text(min_size=1).filter(lambda key: key != "event"), st.none() | st.text() | st.floats())


@given(st.sampled_from(KINDS) | st.text(), BODIES)
def test_whatever_a_record_holds_becomes_an_event_that_loses_nothing_and_can_be_shown(
    kind: str, body: dict[str, Any]
) -> None:
    event = event_of(kind, body)
    written = event.to_json()
    assert written["event"] == kind
    assert repr({key: written[key] for key in body}) == repr(body)
    assert json.loads(json.dumps(finite(written)))["event"] == kind


def test_every_kind_of_event_has_a_name_of_its_own() -> None:
    assert len(set(KINDS)) == len(KINDS)
