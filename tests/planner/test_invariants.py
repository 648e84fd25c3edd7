"""Invariants of every plan, checked from the outside: order, reduction, minimality, determinism, capacity, cadence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rollcast.planner.base.audiences import Predicate
from rollcast.planner.base.errors import MixedLiveState, PlannerError, UnsafePlan
from rollcast.planner.declaration.models import Declaration
from rollcast.planner.loading.loader import load
from rollcast.planner.plan.models import Binding, LiveState, Plan, Share
from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.planner.releases.changes import diff
from rollcast.planner.releases.releases import releases_of
from rollcast.planner.rollout.state_machine import Rollout
from rollcast.policies.strategies import Transition, declarations, plans, transitions

EXAMPLES = Path(__file__).parents[2] / "examples"


def planned(transition: Transition) -> Plan:
    try:
        return make_plan(transition.declared, live_as_declared(transition.released))
    except UnsafePlan:
        raise
    except PlannerError:
        assume(False)
        raise


# ---- the graph of operations --------------------------------------------------------------------


@given(plans())
def test_the_operations_are_a_transitively_reduced_dag_in_order(plan: Plan) -> None:
    for operations in [plan.operations, *(way.operations for way in plan.rollback)]:
        seen: set[str] = set()
        graph = nx.DiGraph()
        for operation in operations:
            assert operation.id not in seen
            assert set(operation.after) <= seen
            seen.add(operation.id)
            graph.add_node(operation.id)
            graph.add_edges_from((before, operation.id) for before in operation.after)
        assert set(graph.edges) == set(nx.transitive_reduction(graph).edges)


@given(plans())
def test_milestones_are_barriers(plan: Plan) -> None:
    """Everything of a milestone is done before anything of the next one."""
    graph = nx.DiGraph((before, o.id) for o in plan.operations for before in o.after)
    graph.add_nodes_from(o.id for o in plan.operations)
    for milestone in plan.milestones[1:]:
        earlier = {o.id for o in plan.operations_of(milestone.index - 1)}
        for operation in plan.operations_of(milestone.index):
            assert earlier <= nx.ancestors(graph, operation.id)


@given(plans())
def test_upstream_is_provisioned_before_downstream(plan: Plan) -> None:
    place = {o.id: n for n, o in enumerate(plan.operations)}
    for operation in plan.operations:
        if operation.kind != "provision" or operation.in_place or operation.release is None:
            continue
        slots = plan.releases[operation.release].slots
        for other in plan.operations_of(operation.milestone):
            same = other.kind == "provision" and other.release == operation.release
            if same and other.component in slots[operation.component or ""].upstream:
                assert place[other.id] < place[operation.id]


# ---- minimal and deterministic --------------------------------------------------------------------


@given(declarations())
def test_an_unchanged_declaration_gives_the_empty_plan(declaration: Declaration) -> None:
    plan = make_plan(declaration, live_as_declared(declaration))
    assert plan.empty
    assert plan.changes == ()


@given(transitions())
def test_what_did_not_change_is_not_touched(transition: Transition) -> None:
    plan = planned(transition)
    old, new = releases_of(transition.released), releases_of(transition.declared)
    kept = {f for r in old.values() for f in r.instances} & {f for r in new.values() for f in r.instances}
    contents = {f: r.slots[s].instance_id for r in old.values() for f, (_, s) in r.instances.items()}
    for operation in plan.operations:
        if operation.instance in kept and operation.release:
            version = plan.releases[operation.release].slots[operation.component or ""]
            assert operation.in_place
            assert version.instance_id != contents[operation.instance]


@given(transitions())
def test_a_plan_ends_exactly_at_what_is_declared(transition: Transition) -> None:
    plan = planned(transition)
    assume(not plan.empty)
    end = plan.state_at(len(plan.milestones) - 1)
    declared = releases_of(transition.declared)
    for track, shares in end.serving.items():
        assert {share.release for share in shares} <= {declared[track].id if track in declared else None}
    # What has no room beside its old version takes over the old one's folder, so the plan says which it needs.
    needed = {f for shares in end.serving.values() for share in shares for f in plan.releases[share.release].instances}
    assert set(end.instances) >= needed
    after = make_plan(transition.declared, LiveState(
        serving={ln: shares for ln, shares in end.serving.items() if shares},
        releases=plan.releases,
        instances=end.instances,
    ))  # fmt: skip
    assert after.empty or not after.changes


@given(transitions())
def test_the_same_inputs_give_the_same_plan_byte_for_byte(transition: Transition) -> None:
    one = planned(transition)
    copies = [Declaration.model_validate(d.model_dump(mode="json", by_alias=True))
              for d in (transition.released, transition.declared)]  # fmt: skip
    two = make_plan(copies[1], live_as_declared(copies[0]))
    assert json.dumps(one.to_json()) == json.dumps(two.to_json())


@given(plans())
def test_a_plan_survives_its_public_json_form(plan: Plan) -> None:
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())))
    assert again.digest == plan.digest
    assert again.to_json() == plan.to_json()


@given(plans(max_slots=2))
def test_a_copy_of_a_plan_has_the_digest_of_its_own_content(plan: Plan) -> None:
    before = plan.digest
    assert plan.model_copy(update={"pipeline": plan.pipeline + "!"}).digest != before
    assert plan.model_copy(update={"guardrails": ({"policy": "p"},), "binding": Binding(serial=9)}).digest == before
    thawed = plan.model_copy(deep=True)
    thawed.start["another line"] = ()
    assert thawed.digest != before
    assert plan.digest == before


@given(plans(max_slots=2))
def test_fields_of_a_newer_minor_version_are_ignored_and_another_major_version_is_refused(plan: Plan) -> None:
    data = json.loads(json.dumps(plan.to_json()))
    data["format_version"], data["news"] = "1.9", 1
    for part in [*data["operations"], *data["milestones"], *data["rollback"], *data["lines"].values()]:
        part["news"] = {"a": 1}
    again = Plan.from_json(data)
    assert again.operations == plan.operations
    assert again.milestones == plan.milestones
    with pytest.raises(ValueError, match="plan again"):
        Plan.from_json({**data, "format_version": "2.0"})


def test_a_plan_does_not_depend_on_the_hash_seed() -> None:
    script = (
        "import sys; from pathlib import Path; from rollcast.stacks.project import Project;"
        "from rollcast.planner.planning.planner import live_as_declared, make_plan;"
        "p = Project.open(Path(sys.argv[1]));"
        "print(make_plan(p.declaration, live_as_declared(*p.sibling('released.yaml')), None, p.digests).digest)"
    )
    for system in ("customer-support", "workflow-platform"):
        command = [sys.executable, "-c", script, str(EXAMPLES / system)]
        found = {
            subprocess.run(
                command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
            ).stdout
            for seed in ("1", "2", "3")
        }
        assert len(found) == 1


def channelled(route: str) -> Declaration:
    return load(
        "pipeline: p\nartifacts: [{kind: model-weights, name: m, version: '1'}]\ncomponents: {m: {artifact: m@1}}\n"
        f"channels: {{private: {{route: {route}, components: {{m: {{parameters: {{log: false}}}}}}}}}}\n"
    )


def test_a_routing_rule_that_changes_is_a_change_of_its_own() -> None:
    old, new = channelled("{domain: medical}"), channelled("{domain: [medical, legal]}")
    plan = make_plan(new, live_as_declared(old))
    assert [(c.line, c.component, c.action) for c in plan.changes] == [
        ("private", "route", "update"),
        ("default-to-private", "route", "update"),
        ("default-to-private", "m", "replace"),
    ]
    assert plan.milestones[0].title == "routing rules: private, default-to-private"
    assert plan.milestones[0].point_of_no_return
    assert any("holds one set of them" in note and "declare the old ones and plan again" in note for note in plan.notes)
    walk = Rollout(plan)
    walk.reached(0.0)
    with pytest.raises(ValueError, match="past the point of no return, routing rules: private"):
        walk.roll_back("no")
    carried = plan.state_at(0).serving.pop("default-to-private")
    assert [share.release for share in carried] == [plan.from_release["default"]]
    assert make_plan(new, live_as_declared(new)).empty


def test_another_salt_or_audience_decides_nothing_until_something_is_split() -> None:
    old = channelled("{domain: medical}")
    audience = {"beta": Predicate.model_validate({"segment": "beta"})}
    for change in ({"audiences": audience}, {"rollout": old.rollout.model_copy(update={"salt": "again"})}):
        assert make_plan(old.model_copy(update=change), live_as_declared(old)).empty


# ---- capacity and cadence -------------------------------------------------------------------------


@given(plans())
def test_at_most_one_line_is_split_at_any_time(plan: Plan) -> None:
    for milestone, serving in zip(plan.milestones, plan.servings(), strict=True):
        split = {track for track, shares in serving.items() if len({s.release for s in shares}) > 1}
        assert split <= set(milestone.lines)
        assert len(split) <= 1


@given(plans())
def test_only_the_group_under_analysis_differs_between_the_two_arms(plan: Plan) -> None:
    for milestone in plan.milestones:
        for shares in milestone.serving.values():
            ids = list(dict.fromkeys(s.release for s in shares))
            if len(ids) == 2:
                one, two = (plan.releases[name] for name in ids)
                changed = {c.component for c in diff({"": one}, {"": two})}
                assert changed == set(milestone.step.split("+")) & changed
                assert changed


@given(plans())
def test_the_environment_never_needs_more_than_it_has(plan: Plan) -> None:
    limit = plan.settings.capacity.get("accelerators")
    assume(limit is not None)
    for index in range(-1, len(plan.milestones)):
        there = plan.state_at(index).instances.values()
        assert sum(plan.releases[r].slots[s].demand.get("accelerators", 0) for r, s in there) <= limit + 1e-9


def test_a_split_live_state_is_no_starting_point() -> None:
    from rollcast.stacks.project import Project

    project = Project.open(EXAMPLES / "workflow-platform")
    live = live_as_declared(*project.sibling("released.yaml"))
    track = "search/default"
    (share,) = live.serving[track]
    other = live_as_declared(project.declaration, project.digests)
    halves = (
        Share(line=track, percent=50.0, release=share.release),
        Share(line=track, percent=50.0, release=other.serving[track][0].release),
    )
    split = live.model_copy(update={"serving": {**live.serving, track: halves}})
    with pytest.raises(MixedLiveState, match="a rollout is under way there"):
        make_plan(project.declaration, split, None, project.digests)


@given(st.data())
def test_more_capacity_never_makes_a_plan_impossible(data: st.DataObject) -> None:
    transition = data.draw(transitions(max_pipelines=1))
    plan = planned(transition)
    # Without room a component is overwritten, which leaves nothing to retire; with room its old version is retired.
    assume(not any(slot.held_in for release in plan.releases.values() for slot in release.slots.values()))
    wide = {
        name: environment.model_copy(update={"capacity": {k: v + 100 for k, v in environment.capacity.items()}})
        for name, environment in transition.declared.environments.items()
    }
    roomy = make_plan(
        transition.declared.model_copy(update={"environments": wide}), live_as_declared(transition.released)
    )
    assert sum(m.point_of_no_return for m in roomy.milestones) <= sum(m.point_of_no_return for m in plan.milestones)
