"""What a plan must be, given the declaration and what is live: derived again, without the planner's own reasoning.

Judged once for each walk, before its first move: the declared steps and what they must prove, nothing touched that did
not change, upstream before downstream, an acyclic and reduced graph, the same plan from the same inputs.

Long because it derives a plan a second time, in one piece.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import networkx as nx

from rollcast.planner.declaration.models import RolloutSettings as Rules
from rollcast.planner.declaration.models import Stage, Strategy
from rollcast.planner.plan.models import EVERYONE, Milestone, Operation, Plan, WorldState, fold
from rollcast.planner.planning.planner import make_plan
from rollcast.planner.releases.releases import Release, default_of, instance_path
from rollcast.planner.rollout.state_machine import Position, Rollout
from rollcast.planner.routing.split import Router
from rollcast.policies.model_based.chains import chains_of
from rollcast.policies.model_based.compatibility import mixed
from rollcast.policies.model_based.expectations import expected
from rollcast.policies.model_based.fault_scenarios import unanswered
from rollcast.policies.model_based.users import users_of
from rollcast.policies.rules.review import Review

_KEPT = "_unplanned"


def unplanned_once(review: Review) -> tuple[str, ...]:
    """What `unplanned` finds, kept with the review: a project's rollouts are walked many times."""
    if _KEPT not in review.__dict__:
        review.__dict__[_KEPT] = tuple(unplanned(review))
    found: tuple[str, ...] = review.__dict__[_KEPT]
    return found


def unplanned(review: Review) -> Iterator[str]:
    """What the plan is not, and must be."""
    yield from _changes(review.plan)
    yield from _graph(review.plan)
    yield from _steps(review.plan)
    yield from _touched(review.plan)
    yield from _upstream_first(review.plan)
    yield from mixed(review.plan)
    yield from _evaluated(review.plan)
    yield from _drained(review.plan)
    yield from _overwritten(review.plan)
    yield from _forward(review.plan)
    yield from _rollbacks(review.plan)
    yield from unanswered(review.plan)
    yield from _repeatable(review)


def _changes(plan: Plan) -> Iterator[str]:
    """Every slot and flag that differs is named as a change, and no other; without changes there is no plan."""
    expected = set()
    ends = [(track, target, plan.from_release.get(track)) for track, target in plan.to_release.items()]
    for track, shares in plan.start.items():
        if shares and track not in plan.to_release:  # a track that ends goes to what its default channel will serve
            expected.add((track, "route"))
            source, heir = plan.ends_of(track)
            ends += [(track, heir, source)] if heir else []
    ends += [(r.line, r.to_release, r.from_release) for r in plan.reroutes if r.line and not plan.start.get(r.line)]
    for track, target, source in ends:
        after, before = plan.releases[target], plan.releases[source] if source else None
        for slot in {*after.slots, *(before.slots if before else ())}:
            old, new = before.slots.get(slot) if before else None, after.slots.get(slot)
            if (old and _made_of(old)) != (new and _made_of(new)):
                expected.add((track, slot))
        old_flags = before.flags if before else {}
        for flag in {*after.flags, *old_flags}:
            if (flag in after.flags, after.flags.get(flag)) != (flag in old_flags, old_flags.get(flag)):
                expected.add((track, f"flag:{flag}"))
        if (
            expected
            and before
            and before.id == after.id
            and any(found[0] == track and found[1] != "route" for found in expected)
        ):
            yield f"channel {track} changes, and keeps its release id {after.id}."
        begins = track in plan.to_release and not plan.start.get(track)
        if begins and track != default_of(track) and plan.start.get(default_of(track)):
            expected.add((track, "route"))
    named = {
        (change.line, change.component)
        for change in plan.changes
        if (change.component, change.action) != ("route", "update") and not change.reason.startswith("contracts: ")
    }
    for track, name in sorted(expected - named):
        yield f"{name} of channel {track} differs from what is live, and is not named as a change."
    for track, name in sorted(named - expected):
        yield f"{name} of channel {track} is named as a change, and is as it was."


def _made_of(slot: object) -> str:
    """Everything that decides how a slot behaves."""
    wanted = {"artifact": {"kind", "name", "version"}, "digest": True, "parameters": True, "upstream": True}
    return str(slot.model_dump(mode="json", include={**wanted, "regions": True}))  # type: ignore[attr-defined]


def _graph(plan: Plan) -> Iterator[str]:
    """Operations have their own ids and wait for known, not later ones; no edge is implied by others."""
    ids = Counter(operation.id for operation in plan.operations)
    for name, count in ids.items():
        if count > 1:
            yield f"{count} operations are called {name}."
    where = {operation.id: operation.milestone for operation in plan.operations}
    graph = nx.DiGraph()
    graph.add_nodes_from(where)
    for operation in plan.operations:
        for earlier in operation.after:
            if where.get(earlier, operation.milestone + 1) > operation.milestone:
                yield f"{operation.id} waits for {earlier}, which is not before it."
            graph.add_edge(earlier, operation.id)
    if not nx.is_directed_acyclic_graph(graph):
        yield "operations wait for each other in a circle."
        return
    reduced = nx.transitive_reduction(graph)
    for edge in sorted(set(graph.edges) - set(reduced.edges)):
        yield f"{edge[1]} waits for {edge[0]} twice over."
    for milestone in range(1, len(plan.milestones)):
        own = [operation.id for operation in plan.operations if operation.milestone == milestone]
        before = {operation.id for operation in plan.operations if operation.milestone == milestone - 1}
        for name in own:
            missing = before - nx.ancestors(graph, name)
            if missing:
                yield f"{name} may be done before {min(missing)} of the milestone before."


class _Step(NamedTuple):
    """What one step of a rollout must be."""

    audience: str
    percent: float
    bake_min_s: float
    bake_max_s: float
    bake_then: str
    min_sample: int
    gates: tuple[str, ...]


def _steps(plan: Plan) -> Iterator[str]:
    """Each change of each track goes through exactly the declared steps, with the declared gates and bakes."""
    taken: dict[tuple[str, str], list[Milestone]] = {}
    for milestone in plan.milestones:
        if milestone.kind == "shift" and milestone.percent is not None and milestone.lines:
            for track in milestone.lines:
                taken.setdefault((track, milestone.step), []).append(milestone)
    for (track, step), milestones in taken.items():
        if plan.ends_of(track)[0] is None or _once(plan, step):
            continue
        rule = plan.lines[track].rollout
        declared = _declared(rule)
        if [(m.audience, m.percent) for m in milestones] != [(s.audience, s.percent) for s in declared]:
            shown = ", ".join(f"{m.percent:g} % of {m.audience}" for m in milestones)
            yield f"{step} on channel {track} goes through {shown}, which is not what is declared."
            continue
        for milestone, stage in zip(milestones, declared, strict=True):
            yield from _step(track, milestone, stage)


def _once(plan: Plan, step: str) -> bool:
    """Whether a change overwrites something in place, so that its traffic can't be split."""
    indices = {milestone.index for milestone in plan.milestones if milestone.step == step}
    return any(operation.in_place and operation.milestone in indices for operation in plan.operations)


def _declared(rule: Rules) -> list[_Step]:
    def step(audience: str, percent: float, stage: Stage | None = None) -> _Step:
        bake = (stage.bake if stage else None) or rule.bake
        least = (stage.min_sample if stage else None) or rule.min_sample
        gates = stage.gates if stage is not None and stage.gates is not None else rule.gates
        metrics = tuple(gate.metric for gate in gates)
        return _Step(audience, percent, bake.min, bake.max, bake.then, least, metrics)

    if rule.strategy in (Strategy.ALL_AT_ONCE, Strategy.BLUE_GREEN):
        return [step(EVERYONE, 100.0)]
    if rule.strategy is Strategy.CANARY or not rule.stages:
        return [step(EVERYONE, percent) for percent in rule.percent]
    return [step(stage.audience, percent, stage) for stage in rule.stages for percent in stage.percent]


def _step(track: str, milestone: Milestone, stage: _Step) -> Iterator[str]:
    title = f"'{milestone.title}'"
    if milestone.gates != stage.gates:
        yield f"{title} has the gates {list(milestone.gates)}, which are not the declared ones."
    if milestone.bake_min_s < stage.bake_min_s or milestone.bake_max_s < stage.bake_max_s:
        yield f"{title} bakes for {milestone.bake_min_s:g} to {milestone.bake_max_s:g} s, less than is declared."
    if milestone.bake_then != stage.bake_then:
        yield f"{title} would {milestone.bake_then} when it is overdue; '{stage.bake_then}' is declared."
    if milestone.min_sample != stage.min_sample:
        yield f"{title} asks for {milestone.min_sample} requests; {stage.min_sample} are declared."
    shares = [s for s in milestone.serving.get(track, ()) if s.audience in (stage.audience, EVERYONE)]
    own = [s for s in shares if s.audience == stage.audience] or shares
    if len({share.release for share in own}) < len(own):
        yield f"{title} serves all of {stage.audience} by one release."
    wanted = [stage.percent] + ([round(100 - stage.percent, 3)] if stage.percent < 100 else [])
    if [s.percent for s in own] != wanted:
        yield f"{title} serves {[s.percent for s in own]} % of {stage.audience}; {wanted} is declared."


def _touched(plan: Plan) -> Iterator[str]:
    """What is new is provisioned once, what nothing needs is retired once, and nothing else is touched."""
    needed = {folder for release in plan.to_release.values() for folder in _folders(plan.releases[release])}
    start = set(plan.start_instances)
    provisioned = Counter(
        o.instance for o in plan.operations if o.kind == "provision" and not (o.in_place and o.instance in start)
    )
    retired = Counter(o.instance for o in plan.operations if o.kind == "retire")
    for kind, found, wanted in (("provisioned", provisioned, needed - start), ("retired", retired, start - needed)):
        for folder, count in found.items():
            if folder not in wanted:
                yield f"{folder} is {kind}, and need not be."
            elif count > 1:
                yield f"{folder} is {kind} {count} times."
        for folder in sorted(wanted - set(found)):
            yield f"{folder} is not {kind}, and must be."
    changed = {change.component for change in plan.changes}
    for operation in plan.operations:
        if operation.in_place and operation.component not in changed:
            yield f"{operation.component} is overwritten, and did not change."


def _folders(release: Release) -> dict[str, str]:
    return {instance_path(release.pipeline, slot, version): slot for slot, version in release.slots.items()}


def _upstream_first(plan: Plan) -> Iterator[str]:
    """New instances come up in the direction of the data, and old ones go in the opposite one."""
    graph = nx.DiGraph()
    graph.add_nodes_from(operation.id for operation in plan.operations)
    graph.add_edges_from((earlier, operation.id) for operation in plan.operations for earlier in operation.after)
    for release in plan.releases.values():
        flow = nx.DiGraph()
        flow.add_nodes_from(release.slots)
        flow.add_edges_from((up, slot) for slot, version in release.slots.items() for up in version.upstream)
        own = _folders(release)
        for kind in ("provision", "retire"):
            found = {
                own[o.instance]: o
                for o in plan.operations
                if o.kind == kind and o.instance in own and o.release == release.id and not o.in_place
            }
            yield from _ordered(graph, flow, found, kind)


def _ordered(graph: nx.DiGraph, flow: nx.DiGraph, found: dict[str, Operation], kind: str) -> Iterator[str]:
    for slot, operation in found.items():
        for upstream in nx.ancestors(flow, slot) & set(found):
            first, then = found[upstream], operation
            if kind == "retire":
                first, then = then, first
            if first.milestone == then.milestone and not nx.has_path(graph, first.id, then.id):
                yield f"{then.id} does not wait for {first.id}, though the data flows from {upstream} to {slot}."


def _evaluated(plan: Plan) -> Iterator[str]:
    """Every declared suite is run on each new release that can run beside the old one, before traffic reaches it."""
    for track, name in plan.lines.items():
        new = _first_served(plan, track)
        for release_id, milestone in new.items():
            release = plan.releases[release_id]
            flags_only = any(release.slots == other.slots for other in plan.releases.values() if other.id != release_id)
            begins = release_id == plan.ends_of(track)[0]  # a new channel, on what serves its requests already
            if flags_only or begins or any(slot.in_place for slot in release.slots.values()):
                continue
            run = {
                o.evaluate.suite
                for o in plan.operations
                if o.evaluate and o.release == release_id and o.milestone < milestone
            }
            for evaluate in name.rollout.evaluate:
                if evaluate.suite not in run:
                    yield f"{release_id} is served by channel {track} before {evaluate.suite} was run on it."


def _first_served(plan: Plan, track: str) -> dict[str, int]:
    """Releases that the plan brings to a track -> the milestone that serves them first."""
    before = {share.release for share in plan.start.get(track, ())}
    found: dict[str, int] = {}
    for milestone in plan.milestones:
        for share in milestone.serving.get(track, ()):
            if share.release not in before:
                found.setdefault(share.release, milestone.index)
    return found


def _drained(plan: Plan) -> Iterator[str]:
    """A drain outlasts the longest request of all tracks and components that it drains; retirement waits for one."""
    longest: dict[str, float] = {}
    for serving in (plan.start, *(milestone.serving for milestone in plan.milestones)):
        for track, shares in serving.items():
            timeout_s = plan.lines[track].rollout.timeout if track in plan.lines else 0.0
            for share in shares:
                said = [slot.timeout_s or 0.0 for slot in plan.releases[share.release].slots.values()]
                longest[share.release] = max(longest.get(share.release, 0.0), timeout_s, *said)
    ways = [("", plan.operations), *((f"back from {way.from_milestone}: ", way.operations) for way in plan.rollback)]
    for where, operations in ways:
        graph = nx.DiGraph((earlier, operation.id) for operation in operations for earlier in operation.after)
        drains = {operation.id for operation in operations if operation.kind == "drain"}
        for operation in operations:
            if operation.kind == "drain":
                wanted = max((longest.get(release, 0.0) for release in operation.drained), default=0.0)
                if operation.wait_s < wanted:
                    yield f"{where}{operation.id} waits for {operation.wait_s:g} s; a request may take {wanted:g} s."
            elif operation.kind == "retire" and not (
                operation.id in graph and nx.ancestors(graph, operation.id) & drains
            ):
                yield f"{where}{operation.id} waits for no drain."


def _overwritten(plan: Plan) -> Iterator[str]:
    """What exists once is overwritten while nobody is served, or after a drain of what was served before.

    A release that another track is still served by is none of before: its requests reach what is overwritten anyway.
    """
    left: dict[tuple[str, str], int] = {}  # (track, release that it has left) -> the milestone that took it away
    serving = dict(plan.start)
    for milestone in plan.milestones:
        served = {share.release for shares in serving.values() for share in shares}
        for operation in plan.operations_of(milestone.index):
            if operation.kind == "drain":
                left = {key: index for key, index in left.items() if key[1] not in operation.drained}
            if not operation.in_place or operation.instance not in plan.start_instances:
                continue
            tracks = [track for track in milestone.lines if serving.get(track)]
            if milestone.kind == "pause" and tracks:
                yield f"{operation.id} is done while channel {tracks[0]} still serves."
            for (track, release), index in left.items():
                if track in milestone.lines and release not in served:
                    yield f"{operation.id} may serve requests of before '{plan.milestones[index].title}'."
        ended = {r for o in plan.operations_of(milestone.index) for r in o.drained if milestone.kind == "pause"}
        for track, shares in milestone.serving.items():
            kept = {share.release for share in shares} | ended
            gone = [share.release for share in serving.get(track, ()) if share.release not in kept]
            left.update({(track, release): milestone.index for release in gone})
        serving.update(milestone.serving)


def _forward(plan: Plan) -> Iterator[str]:
    """Milestone by milestone, nobody goes back to a release that they have left."""
    chains, users, furthest = chains_of(plan), users_of(plan), dict[tuple[int, str], int]()
    for milestone, serving in zip(plan.milestones, plan.servings(), strict=True):
        routers: dict[str, Router] = {}
        for number, user in enumerate(users if milestone.serving else ()):
            if user.pipeline not in routers:
                routers[user.pipeline] = Router(user.pipeline, plan.lines, serving, plan.audiences)
            routed = routers[user.pipeline].route(user.key, user.attributes)
            place = chains.get(routed.line, {}).get(routed.release) if routed else None
            if ((routed.line, routed.release) if routed else ("", "")) != expected(plan, serving, user):
                yield f"{user.key} ({dict(user.attributes)}) is not where the shares of '{milestone.title}' put it."
                return
            if routed is None or place is None:
                continue
            if place < furthest.get((number, routed.line), place):
                yield f"{user.key} ({dict(user.attributes)}) goes back to {routed.release} at '{milestone.title}'."
                return
            furthest[number, routed.line] = place


def _rollbacks(plan: Plan) -> Iterator[str]:
    """Up to each point of no return there is a rollback, and it ends where the wave began, content included."""
    origin, wave = WorldState(plan.start, plan.start_instances), 0
    state = origin
    for milestone in plan.milestones:
        if milestone.wave != wave:
            origin, wave = state, milestone.wave
        state = fold(state, [milestone], plan.operations_of(milestone.index))
        way = plan.rollback_of(milestone.index)
        if way is None:
            if not milestone.point_of_no_return:
                yield f"there is no rollback from '{milestone.title}'."
            elif not _refused(Rollout(plan, Position(milestone=milestone.index))):
                yield f"an abort after '{milestone.title}' is not refused, and there is no rollback."
            continue
        back = fold(state, way.milestones, way.operations)
        if _served(back) != _served(origin):
            yield f"the rollback from '{milestone.title}' does not end with what was served before."
        if _holds(plan, back) != _holds(plan, origin):
            yield f"the rollback from '{milestone.title}' does not end with what ran before."


def _refused(stateless: Rollout) -> bool:
    try:
        stateless.roll_back("aborted")
    except ValueError:
        return True
    return False


def _served(state: WorldState) -> dict[str, list[tuple[str, float, str]]]:
    return {
        track: [(share.audience, share.percent, share.release) for share in shares]
        for track, shares in state.serving.items()
        if shares
    }


def _holds(plan: Plan, state: WorldState) -> dict[str, str]:
    return {
        folder: plan.releases[release].slots[slot].instance_id for folder, (release, slot) in state.instances.items()
    }


def _repeatable(review: Review) -> Iterator[str]:
    """The same inputs give the same plan, in whatever order a mapping holds them; its JSON form keeps all of it."""
    live = review.live
    turned = live.model_copy(
        update={
            "serving": dict(reversed(list(live.serving.items()))),
            "releases": dict(reversed(list(live.releases.items()))),
            "instances": dict(reversed(list(live.instances.items()))),
        }
    )
    again = make_plan(review.declaration, turned, review.plan.environment, review.digests)
    if _text(again) != _text(review.plan):
        yield "the same inputs give another plan."
    if Plan.from_json(json.loads(json.dumps(review.plan.to_json()))).digest != review.plan.digest:
        yield "the plan does not survive its JSON form."


def _text(plan: Plan) -> str:
    return json.dumps(
        plan.model_dump(mode="json", exclude={"binding", "guardrails", "start", "start_instances"}), sort_keys=True
    )
