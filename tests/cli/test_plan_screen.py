"""A plan as a person reads it first: on one screen, the gravest first, and nothing in it that the plan does not say."""

from __future__ import annotations

import pytest
from hypothesis import given

from benchmarks.planner import declaration
from rollcast.cli.output.plan import text_of
from rollcast.cli.reports.risks import risks_of
from rollcast.cli.reports.steps import steps_of
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies import plans
from tests.planner.test_six_systems import SYSTEMS, plan_of


def large(pipelines: int, components: int) -> Plan:
    old, new = (Declaration.model_validate(declaration(pipelines, 1, components, changed)) for changed in (False, True))
    return make_plan(new, live_as_declared(old), "e0")


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_plan_of_an_example_fits_a_screen(system: str) -> None:
    assert len(text_of(plan_of(system)).splitlines()) <= 40


def test_the_plan_of_three_hundred_components_fits_a_hundred_lines() -> None:
    plan = large(30, 10)
    assert len(plan.changes) == 150
    assert len(text_of(plan).splitlines()) <= 100
    assert len(text_of(plan, verbose=True).splitlines()) > 1000


@given(plans())
def test_steps_are_all_that_moves_in_order_and_bound_its_time(plan: Plan) -> None:
    steps = steps_of(plan)
    moving = [milestone.index for milestone in plan.milestones if milestone.kind in ("shift", "pause")]
    assert [stage.index for step in steps for stage in step.stages] == moving
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        assert 0 <= step.least_s <= step.most_s
        assert all(set(stage.gates) <= set(step.gates) for stage in step.stages)
        assert len({(stage.step, stage.lines) for stage in step.stages}) == 1


@given(plans())
def test_every_risk_of_a_plan_is_said(plan: Plan) -> None:
    steps = steps_of(plan)
    said = "\n".join(risks_of(plan, steps))
    for step in steps:
        if step.paused:
            assert f"Step {step.number} ({step.name}) refuses every request" in said
        elif step.in_place and any(plan.start.get(track) for track in step.tracks):
            assert f"Step {step.number} ({step.name}) overwrites what serves" in said
    assert ("going back is a new plan" in said) is any(one.point_of_no_return for one in plan.milestones)
    for note in plan.notes:
        assert not note.startswith("After a rollback: ") or note in said


@given(plans())
def test_a_change_is_named_once_with_the_channels_that_it_is_on(plan: Plan) -> None:
    text = text_of(plan)
    assert text.isprintable() or "\n" in text
    for change in {(change.component, change.reason) for change in plan.changes[:20]}:
        rows = [line for line in text.splitlines() if f" {change[0]} " in f"{line} " and change[1] in line]
        assert len(rows) >= 1


def test_the_gravest_comes_first() -> None:
    """What refuses or overwrites, then what no gate sees, then what can't be taken back."""
    risks = risks_of(plan := plan_of("workflow-platform"), steps_of(plan))
    assert [risk.split()[0] for risk in risks] == ["Step", "No", "After"]
    assert "overwrites what serves, for everyone at once" in risks[0]
