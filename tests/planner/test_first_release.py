"""A first release: nothing is live, so there is nothing to be compared with and nothing to keep apart."""

from __future__ import annotations

from pathlib import Path

from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import EVERYONE, LiveState, Plan
from rollcast.planner.planning.planner import make_plan

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"


def first_plan(extra: str = "") -> Plan:
    text = (EXAMPLE / "rollcast.yaml").read_text("utf-8") + extra
    return make_plan(load(text, read=lambda file: (EXAMPLE / file).read_text("utf-8")), LiveState())


def test_a_first_release_is_one_expand_and_one_shift_of_everyone() -> None:
    plan = first_plan()
    assert [m.kind for m in plan.milestones] == ["expand", "shift"]
    (share,) = plan.milestones[-1].serving["default"]
    assert (share.audience, share.percent, share.release) == (EVERYONE, 100.0, plan.to_release["default"])


def test_each_line_of_a_first_release_is_shifted_once() -> None:
    channel = "\nchannels:\n  privacy: {route: {segment: clinic}, components: {generator: {prompt: answer@1}}}\n"
    plan = first_plan(channel)
    assert [m.kind for m in plan.milestones] == ["expand", "shift", "shift"]
    assert sorted(track for m in plan.milestones[1:] for track in m.serving) == ["default", "privacy"]


def test_a_first_release_waits_for_no_gate_because_it_has_no_baseline() -> None:
    assert all(not milestone.gates for milestone in first_plan().milestones)
