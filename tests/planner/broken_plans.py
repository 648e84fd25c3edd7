"""Plans with one thing broken in them: what the planner would have to refuse, and sometimes harmless."""

from __future__ import annotations

from hypothesis import note
from hypothesis import strategies as st

from rollcast.planner.capacity.fit import need_of
from rollcast.planner.declaration.models import Region
from rollcast.planner.plan.models import Milestone, Operation, Plan, Rollback
from rollcast.planner.releases.releases import Release
from rollcast.policies.strategies import plans


@st.composite
def broken_plans(draw: st.DrawFn) -> Plan:
    """A small plan with one to three mutations, forwards or during a rollback."""
    plan = draw(plans(max_slots=3, max_pipelines=1))
    for _ in range(draw(st.integers(1, 3))):
        mutation = draw(st.sampled_from(_MUTATIONS))
        note(mutation.__name__.strip("_"))
        plan = mutation(plan, draw)
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
    track = draw(st.sampled_from(sorted(ln for ln, shares in milestone.serving.items() if shares)))
    shares = milestone.serving[track]
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
    serving = {**milestone.serving, track: (share, *shares[1:])}
    milestones = list(plan.milestones)
    milestones[milestone.index] = milestone.model_copy(update={"serving": serving})
    return plan.model_copy(update={"milestones": tuple(milestones), "releases": {**plan.releases, mixed.id: mixed}})


def _shorter_way_back(plan: Plan, draw: st.DrawFn) -> Plan:
    """A rollback forgets a drain or a dependency."""
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


def _less_room(plan: Plan, draw: st.DrawFn) -> Plan:
    """There is just as much as serves at the start, or little more."""
    environment = plan.settings
    slots = [plan.releases[release].slots[slot] for release, slot in plan.start_instances.values()]
    now = need_of(slots, environment)
    place = draw(st.sampled_from(["", *environment.regions]))
    limit = {"accelerators": now[place, "accelerators"] + draw(st.integers(0, 3))}
    if not place:
        return plan.model_copy(update={"settings": environment.model_copy(update={"capacity": limit})})
    regions = {**environment.regions, place: Region(capacity=limit)}
    return plan.model_copy(update={"settings": environment.model_copy(update={"regions": regions})})


def _stricter_rule(plan: Plan, draw: st.DrawFn) -> Plan:
    """A track allows one region only."""
    track = draw(st.sampled_from(sorted(plan.lines)))
    rules = plan.lines[track].model_copy(update={"allowed_regions": (draw(st.sampled_from(("eu", "us"))),)})
    return plan.model_copy(update={"lines": {**plan.lines, track: rules}})


def _line_that_stops(plan: Plan, draw: st.DrawFn) -> Plan:
    """A milestone serves nothing on one of its tracks, forwards or during a rollback: others take its requests."""
    found: list[tuple[Rollback | None, Milestone, str]] = [
        (way, milestone, track)
        for way in (None, *plan.rollback)
        for milestone in (way or plan).milestones
        for track, shares in milestone.serving.items()
        if shares and plan.lines.get(track) and plan.lines[track].route
    ]
    if not found:
        return plan
    way, milestone, track = draw(st.sampled_from(found))
    stopped = milestone.model_copy(update={"serving": {**milestone.serving, track: ()}})
    if way is None:
        return plan.model_copy(update={"milestones": _with(plan.milestones, stopped)})
    return with_way(plan, way, way.model_copy(update={"milestones": _with(way.milestones, stopped)}))


def _without_begin(plan: Plan, draw: st.DrawFn) -> Plan:
    """New channels are left to their default channel until their own first shift."""
    begins = [m for m in plan.milestones if m.title.startswith("begin ")]
    if not begins:
        return plan
    late = begins[0].model_copy(update={"serving": {}})
    operations = tuple(o for o in plan.operations if o.milestone != late.index)
    return plan.model_copy(update={"milestones": _with(plan.milestones, late), "operations": operations})


def _incomplete_way_back(plan: Plan, draw: st.DrawFn) -> Plan:
    """A rollback forgets one of its milestones, one of its instances, or is not there at all."""
    if not plan.rollback:
        return plan
    way = draw(st.sampled_from(plan.rollback))
    what = draw(st.sampled_from(("way", "milestone", "instance")))
    if what == "way":
        return plan.model_copy(update={"rollback": tuple(w for w in plan.rollback if w is not way)})
    steps = [m for m in way.milestones if m.serving]
    if what == "milestone" and steps:
        empty = draw(st.sampled_from(steps)).model_copy(update={"serving": {}})
        kept = tuple(o for o in way.operations if o.milestone != empty.index or o.kind not in ("shift", "flag"))
        return with_way(
            plan, way, way.model_copy(update={"milestones": _with(way.milestones, empty), "operations": tied(kept)})
        )
    changes = [o for o in way.operations if o.kind in ("provision", "retire")]
    if not changes:
        return plan
    forgotten = draw(st.sampled_from(changes))
    kept = tuple(o for o in way.operations if o is not forgotten)
    return with_way(plan, way, way.model_copy(update={"operations": tied(kept)}))


_MUTATIONS = (
    _without_wait, _without_operation, _another_release, _shorter_way_back, _drains_nothing, _retires_early,
    _less_room, _stricter_rule, _line_that_stops, _without_begin, _incomplete_way_back,
)  # fmt: skip


def _with(milestones: tuple[Milestone, ...], changed: Milestone) -> tuple[Milestone, ...]:
    return tuple(changed if m.index == changed.index else m for m in milestones)


def with_way(plan: Plan, old: Rollback, new: Rollback) -> Plan:
    return plan.model_copy(
        update={"rollback": tuple(new if w.from_milestone == old.from_milestone else w for w in plan.rollback)}
    )


def tied(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """Nothing waits for what is gone."""
    known = {o.id for o in operations}
    return tuple(o.model_copy(update={"after": tuple(a for a in o.after if a in known)}) for o in operations)


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
