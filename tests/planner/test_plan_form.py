"""The public JSON form of a plan: what it says of servings, and how it grows."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given

from benchmarks.planner import declaration
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies import plans


def platform_plan(pipelines: int) -> Plan:
    old, new = (Declaration.model_validate(declaration(pipelines, 1, 2, changed)) for changed in (False, True))
    return make_plan(new, live_as_declared(old))


def shown(plan: Plan) -> Iterator[dict[str, list[dict[str, object]]]]:
    """What serves at each milestone, as a reader of the form would keep it, who knows nothing else of plans."""
    data = json.loads(json.dumps(plan.to_json()))
    serving = {track: shares for track, shares in data["start"].items() if shares}
    pipeline_of = {track: data["releases"][shares[0]["release"]]["pipeline"] for track, shares in serving.items()}
    pipeline_of |= {track: own["pipeline"] for track, own in data["lines"].items()}
    for milestone in data["milestones"]:
        serving = {track: s for track, s in serving.items() if pipeline_of[track] not in milestone["pipelines"]}
        for share in milestone["serving"]:
            serving.setdefault(share["line"], []).append(share)
        yield serving


@given(plans())
def test_the_servings_of_the_form_are_those_of_the_plan(plan: Plan) -> None:
    for read, serving in zip(shown(plan), plan.servings(), strict=True):
        assert read == {
            track: [s.model_dump(mode="json") for s in shares] for track, shares in serving.items() if shares
        }


def test_the_servings_of_a_plan_of_one_pipeline_are_complete() -> None:
    plan = platform_plan(1)
    tracks = {track for track, shares in plan.start.items() if shares}
    for milestone in plan.to_json()["milestones"]:
        assert {share["line"] for share in milestone["serving"]} == tracks


def test_a_platform_twice_as_large_has_a_plan_twice_as_large() -> None:
    small, large = (len(json.dumps(platform_plan(n).to_json())) for n in (4, 8))
    assert 1.8 < large / small < 2.2


def test_a_saved_plan_keeps_what_a_kind_of_evaluator_is_told() -> None:
    evaluate = {"suite": "s@1", "thresholds": {}, "evaluator": {"kind": "command", "run": ["python", "suite.py"]}}
    old, new = (declaration(1, 1, 2, changed) for changed in (False, True))
    suite = {"kind": "evaluation-suite", "name": "s", "version": "1"}
    new |= {"artifacts": [*new["artifacts"], suite], "rollout": {**new.get("rollout", {}), "evaluate": [evaluate]}}
    plan = make_plan(Declaration.model_validate(new), live_as_declared(Declaration.model_validate(old)))
    found = [o.evaluate for o in plan.operations if o.evaluate]
    assert found
    read = [o.evaluate for o in Plan.from_json(json.loads(json.dumps(plan.to_json()))).operations if o.evaluate]
    assert read == found
    assert [one.model_dump(mode="json") for one in read] == [evaluate] * len(found)


def test_a_form_that_says_nothing_of_pipelines_has_complete_servings() -> None:
    plan = platform_plan(2)
    data = plan.to_json()
    for milestone, serving in zip(data["milestones"], plan.servings(), strict=True):
        del milestone["pipelines"]
        milestone["serving"] = [s.model_dump(mode="json") for shares in serving.values() for s in shares]
    assert Plan.from_json(data).digest == plan.digest


def test_a_form_that_serves_a_line_that_is_none_is_refused() -> None:
    data = json.loads(json.dumps(platform_plan(2).to_json()))
    share = {"line": "elsewhere", "audience": "everyone", "percent": 100.0, "release": next(iter(data["releases"]))}
    data["milestones"][-1]["serving"] = [share]
    with pytest.raises(ValueError, match="'elsewhere', which is no channel"):
        Plan.from_json(data)
