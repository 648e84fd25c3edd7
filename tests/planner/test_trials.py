"""Which milestones put a release on trial: it serves users to whom nothing has proved it yet."""

from __future__ import annotations

import pytest

from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import LiveState, Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.rollout.state_machine import trials_of

STAGED = (
    "{strategy: staged, stages: [{audience: staff, percent: [100]}, {audience: pilots, percent: [20, 100]}, "
    "{audience: everyone, percent: [5, 100]}]}"
)


def plan_to(rollout: str, *, first: bool = False) -> Plan:
    def text(version: str) -> str:
        prompts = ", ".join(f"{{kind: prompt-template, name: m, version: '{number}'}}" for number in "12")
        return (
            f"pipeline: p\nartifacts: [{prompts}]\ncomponents: {{m: {{artifact: m@{version}}}}}\n"
            f"audiences: {{staff: {{segment: staff}}, pilots: {{segment: pilots}}}}\nrollout: {rollout}\n"
        )

    return make_plan(load(text("2")), LiveState() if first else live_as_declared(load(text("1"))))


@pytest.mark.parametrize(
    ("rollout", "trials"),
    [
        ("{percent: [5, 25, 100]}", ["everyone 5", "everyone 25"]),
        ("{strategy: blue-green}", ["everyone 100"]),
        (STAGED, ["staff 100", "pilots 20", "everyone 5"]),
    ],
)
def test_an_audience_that_moves_as_a_whole_is_a_trial_unless_a_comparison_in_it_went_before(
    rollout: str, trials: list[str]
) -> None:
    plan = plan_to(rollout)
    found = [plan.milestones[index] for index in sorted(trials_of(plan))]
    assert [f"{milestone.audience} {milestone.percent:g}" for milestone in found] == trials


def test_a_first_release_takes_nobody_away_from_what_was_proved() -> None:
    assert trials_of(plan_to("{percent: [5, 25, 100]}", first=True)) == frozenset()
