"""Folders of instances: one for each side-by-side version, one for all versions in place, none within another."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.cross_checks import check
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Plan
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies import plans


def folders_of(plan: Plan) -> set[str]:
    made = {o.instance for way in (plan, *plan.rollback) for o in way.operations if o.instance}
    return {*plan.start_instances, *made, *(f for release in plan.releases.values() for f in release.instances)}


@given(plans())
def test_no_instance_of_a_plan_is_within_another(plan: Plan) -> None:
    assert not [(a, b) for a, b in permutations(folders_of(plan), 2) if a.startswith(f"{b}/")]


def once(in_place: bool, version: str) -> Declaration:
    return load(
        "pipeline: p\nartifacts:\n"
        "  - {kind: reranker, name: r, version: '1'}\n  - {kind: reranker, name: r, version: '2'}\n"
        f"components: {{r: {{artifact: r@{version}, in_place: {str(in_place).lower()}}}}}\n"
    )


def test_a_component_may_change_between_side_by_side_and_in_place() -> None:
    for before, after in ((False, True), (True, False)):
        plan = make_plan(once(after, "2"), live_as_declared(once(before, "1")))
        assert [o.kind for o in plan.operations if o.instance] == ["provision", "retire"]
        assert not [(a, b) for a, b in permutations(folders_of(plan), 2) if a.startswith(f"{b}/")]


def test_a_pipeline_is_not_named_as_the_place_of_shared_instances() -> None:
    text = (
        "pipeline: p\nartifacts: [{kind: safety-policy, name: g, version: '1'}]\n"
        "pipelines: {NAME: {components: {g: {artifact: g@1, shared: true}}}}\n"
    )
    assert check(load(text.replace("NAME", "search"))) == []
    data = load(text.replace("NAME", "search")).model_dump(mode="json", by_alias=True)
    data["pipelines"] = {"shared": data["pipelines"]["search"]}
    (mistake,) = check(Declaration.model_validate(data))
    assert mistake.path == ("pipelines", "shared")
    assert "is where shared components such as 'g' are kept" in mistake.summary
