"""Plans with one thing broken in them: what the planner would have to refuse, and sometimes harmless."""

from __future__ import annotations

from hypothesis import strategies as st

from rollcast.planner.plan import Operation, Plan, Rollback
from rollcast.planner.releases import Release
from rollcast.policies.strategies import plans


@st.composite
def broken_plans(draw: st.DrawFn) -> Plan:
    """A small plan with one to three mutations, forwards or on a way back."""
    plan = draw(plans(max_slots=3, max_pipelines=1))
    for _ in range(draw(st.integers(1, 3))):
        plan = draw(st.sampled_from(_MUTATIONS))(plan, draw)
    return plan


def _without_wait(plan: Plan, draw: st.DrawFn) -> Plan:
    waiting = [o for o in plan.operations if any(_milestone(plan, a) == o.milestone for a in o.after)]
    if not waiting:
        return plan
    chosen = draw(st.sampled_from(waiting))
    dropped = draw(st.sampled_from([a for a in chosen.after if _milestone(plan, a) == chosen.milestone]))
    return _replaced(plan, chosen, chosen.model_copy(update={"after": tuple(a for a in chosen.after if a != dropped)}))


def _without_operation(plan: Plan, draw: st.DrawFn) -> Plan:
    found = [o for o in plan.operations if o.kind in ("drain", "provision")]
    if not found:
        return plan
    return _replaced(plan, draw(st.sampled_from(found)), None)


def _another_release(plan: Plan, draw: st.DrawFn) -> Plan:
    """A milestone serves a mix of what it serves and of another release."""
    shifts = [m for m in plan.milestones if any(m.serving.values())]
    if not shifts:
        return plan
    milestone = draw(st.sampled_from(shifts))
    line = draw(st.sampled_from(sorted(ln for ln, shares in milestone.serving.items() if shares)))
    shares = milestone.serving[line]
    own = plan.releases[shares[0].release]
    other = plan.releases[draw(st.sampled_from(sorted(plan.releases)))]
    taken = draw(st.lists(st.sampled_from(sorted({*own.slots, *other.slots})), unique=True))
    slots = {
        name: (other if name in taken else own).slots[name]
        for name in sorted({*own.slots, *other.slots})
        if name in (other if name in taken else own).slots
    }
    mixed = Release(pipeline=own.pipeline, slots=slots, flags=own.flags)
    share = shares[0].model_copy(update={"release": mixed.id})
    serving = {**milestone.serving, line: (share, *shares[1:])}
    milestones = list(plan.milestones)
    milestones[milestone.index] = milestone.model_copy(update={"serving": serving})
    return plan.model_copy(update={"milestones": tuple(milestones), "releases": {**plan.releases, mixed.id: mixed}})


def _shorter_way_back(plan: Plan, draw: st.DrawFn) -> Plan:
    """A way back forgets a drain or a dependency."""
    ways = [w for w in plan.rollback if any(o.kind == "drain" for o in w.operations)]
    if not ways:
        return plan
    way = draw(st.sampled_from(ways))
    drain = draw(st.sampled_from([o for o in way.operations if o.kind == "drain"]))
    kept = tuple(
        o.model_copy(update={"after": tuple(a for a in o.after if a != drain.id)}) for o in way.operations if o != drain
    )
    changed = Rollback(from_milestone=way.from_milestone, milestones=way.milestones, operations=kept)
    rollback = tuple(changed if w.from_milestone == way.from_milestone else w for w in plan.rollback)
    return plan.model_copy(update={"rollback": rollback})


def _drains_nothing(plan: Plan, draw: st.DrawFn) -> Plan:
    drains = [o for o in plan.operations if o.kind == "drain"]
    if not drains:
        return plan
    chosen = draw(st.sampled_from(drains))
    return _replaced(plan, chosen, chosen.model_copy(update={"kind": "warm"}))


def _retires_early(plan: Plan, draw: st.DrawFn) -> Plan:
    """Something is retired in a milestone where it may still be needed."""
    retires = [o for o in plan.operations if o.kind == "retire"]
    if not retires:
        return plan
    chosen = draw(st.sampled_from(retires))
    milestone = draw(st.integers(0, chosen.milestone))
    moved = chosen.model_copy(update={"milestone": milestone, "after": ()})
    return _replaced(plan, chosen, moved)


_MUTATIONS = (
    _without_wait, _without_operation, _another_release, _shorter_way_back, _drains_nothing, _retires_early,
)  # fmt: skip


def _milestone(plan: Plan, operation: str) -> int:
    return next((o.milestone for o in plan.operations if o.id == operation), -1)


def _replaced(plan: Plan, old: Operation, new: Operation | None) -> Plan:
    """The plan with an operation exchanged or gone; nothing waits for what is gone."""
    operations = []
    for operation in plan.operations:
        if operation.id == old.id:
            if new is None:
                continue
            operation = new
        elif new is None and old.id in operation.after:
            operation = operation.model_copy(update={"after": tuple(a for a in operation.after if a != old.id)})
        operations.append(operation)
    return plan.model_copy(update={"operations": tuple(operations)})
