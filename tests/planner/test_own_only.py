"""A pipeline that did not change is left alone, whatever becomes of another one at the same target."""

from __future__ import annotations

from hypothesis import event, given

from rollcast.planner.planning.planner import live_as_declared, make_plan
from rollcast.policies.strategies import Transition, rewirings


@given(rewirings(max_slots=3, max_pipelines=2, readable=True, channels=True))
def test_no_operation_touches_a_pipeline_that_did_not_change(pair: Transition) -> None:
    if not pair.released.pipelines:
        event("one pipeline")
        return
    old, new = pair.released, pair.declared
    artifacts = {a.reference: a for side in (new, old) for a in side.artifacts}
    pipelines = {"p0": new.pipelines["p0"], "p1": old.pipelines["p1"]}
    declared = new.model_copy(update={"artifacts": tuple(artifacts.values()), "pipelines": pipelines})
    plan = make_plan(declared, live_as_declared(old))
    event("empty" if plan.empty else "changes p0")
    untouched = {folder for folder in plan.start_instances if folder.startswith("p1/")}
    assert untouched
    for operations in (plan.operations, *(way.operations for way in plan.rollback)):
        assert not [o for o in operations if (o.line or "").startswith("p1/")]
        assert not [o for o in operations if (o.instance or "").startswith("p1/")]
    for serving in plan.servings():
        own = {track: shares for track, shares in serving.items() if track.startswith("p1/")}
        assert own == {track: shares for track, shares in plan.start.items() if track.startswith("p1/")}
