"""What serves whom now, the rollout under way or the last one, and what telemetry measured of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from rollcast.planner.base.wording import some_of
from rollcast.planner.plan.models import Plan, Serving
from rollcast.planner.planning.settlement import split_of
from rollcast.planner.releases.releases import Release
from rollcast.planner.rollout.state_machine import Position
from rollcast.planner.routing.split import flag_key
from rollcast.stacks.base.clock import moment
from rollcast.stacks.confirming.answers import awaited_of, confirmations_of
from rollcast.stacks.confirming.asking import question_of
from rollcast.stacks.flags.definitions import content_digest
from rollcast.stacks.fleet.inspection import SeenFleet, inspect
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import FinishedBody, Order, OrderedBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rejections import REMEDY as REJECTED_REMEDY
from rollcast.stacks.ledger.rejections import rejected_of
from rollcast.stacks.ledger.rollouts import FINISHED, RECOVERED, RolloutContext, last_started, ledger_of, load
from rollcast.stacks.notifying.report import receivers_report
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.rollout.drift import lineage_of
from rollcast.stacks.rollout.elsewhere import held_elsewhere
from rollcast.stacks.rollout.evidence import RequestCounts
from rollcast.stacks.rollout.standstill import standstill_of
from rollcast.stacks.state.live import REMEDY, EditedFlags, LiveReading, moved, read, target_at
from rollcast.stacks.state.ownership import foreign_at
from rollcast.stacks.targets.target import Target

FORMAT_VERSION = "1.0"
FLEET_S = 2.0  # for all replicas to answer: a report is of what is seen, not of what might still come
UNCOUNTED = (
    "completeness can't be judged: that takes telemetry of single requests, and every address of the "
    "target's 'endpoint' to say how many requests it 'finished' on each release, or a record"
    " of 'exposure' for each request"
)


def status(project: Project, foreign: bool = False) -> dict[str, Any]:
    """The report, as `status --format json` prints it. Nothing is changed.

    foreign: whether to list what is at the target that is not ours.
    """
    notes: list[str] = []
    target = target_at(project.folder, project.environment)
    pipelines = list(project.declaration.each_pipeline())
    live = read(target, pipelines, edited=EditedFlags.LEFT_OUT)
    notes.extend(f"drift: {text}. {REMEDY}" for text in live.edits.values())
    notes.extend(f"{text}. Put it back with 'rollcast apply'" for text in live.down)
    notes.extend(held_elsewhere(project))
    if live.others:
        notes.append(f"other projects serve {some_of(list(live.others), 6)} at this target; none of it is touched")
    ledger = ledger_of(project)
    stands = standstill_of(project)
    if stands is not None:
        notes.append(f"nothing begins or advances: {stands.sentence}")
    rollout, tally, desired = _rollout(ledger, live, notes)
    if (rollout is None or rollout["outcome"]) and (rejected := rejected_of(ledger, project)):
        notes.append(f"{rejected}. {REJECTED_REMEDY}")
    notes.extend(f"{text}: {count} requests" for text, count in sorted(tally.other_models.items()))
    fleet = _fleet(project, target, pipelines)
    served = {share.release for shares in live.state.serving.values() for share in shares}
    return {
        "format_version": FORMAT_VERSION,
        "pipeline": project.declaration.pipeline,
        "environment": project.environment_name,
        "serving": [s.model_dump(mode="json") for shares in live.state.serving.values() for s in shares],
        "releases": {name: components(live.state.releases[name]) for name in sorted(served)},
        "live_state_digest": live.state.digest,
        "rollout": rollout,
        "measured": measured(tally, desired),
        "fleet": fleet.model_dump(mode="json") if fleet else None,
        **({"standstill": stands.to_json()} if stands is not None else {}),
        "notify": receivers_report(ledger, project.environment.notify),
        "notes": notes,
        **({"foreign": _foreign(project, target, pipelines)} if foreign else {}),
    }


def _foreign(project: Project, target: Target, pipelines: Collection[str]) -> list[dict[str, Any]]:
    return [item.model_dump() for item in foreign_at(target, pipelines, lineage_of(project))]


def _fleet(project: Project, target: Target, pipelines: Collection[str]) -> SeenFleet | None:
    """Every replica of the data plane, beside what the target's flags of these pipelines hold."""
    flags = target.flags()
    wanted = {key: content_digest(flags[key]) for key in map(flag_key, pipelines) if isinstance(flags.get(key), dict)}
    return inspect(project.environment.endpoints, wanted, FLEET_S)


def components(release: Release) -> dict[str, str]:
    """name@version of every slot."""
    return {slot: version.reference for slot, version in release.slots.items()}


def measured(tally: RequestCounts, desired: dict[str, float]) -> dict[str, Any]:
    """Fractions desired and measured by release in the stage, and the requests that no whole release served."""
    total = sum(tally.stage.values())
    shares = [
        {
            "release": release,
            "asked": desired.get(release),
            "measured": tally.stage.get(release, 0) / total if total else None,
            "requests": tally.stage.get(release, 0),
        }
        for release in sorted({*desired, *tally.stage})
    ]
    return {"shares": shares, "requests": tally.requests, **tally.known}


def desired_of(serving: Serving) -> dict[str, float]:
    """The fraction desired of each release, where one audience of one line is all there is; else empty."""
    tracks = [shares for shares in serving.values() if shares]
    if len(tracks) != 1 or len({share.audience for share in tracks[0]}) != 1:
        return {}
    return {share.release: share.percent / 100 for share in tracks[0]}


def _rollout(
    ledger: Ledger, live: LiveReading, notes: list[str]
) -> tuple[dict[str, Any] | None, RequestCounts, dict[str, float]]:
    started = last_started(ledger)
    if started is None:
        notes.extend(_recovered(ledger, live))
        return None, RequestCounts(), {}
    ended = next((r for r in ledger.records(started.seq, started.rollout) if r.kind == FINISHED), None)
    about = {"id": started.rollout, "to_release": started.read(StartedBody).to_release, "started_s": started.time_s}
    if ended is not None:
        end = ended.read(FinishedBody)
        tally = RequestCounts.of(end.tally)
        done = {"outcome": end.outcome, "reason": end.reason, "ended_s": ended.time_s}
        return {**about, **done}, tally, desired_of(live.state.serving)
    return _under_way(ledger, live, notes, started, about)


def _recovered(ledger: Ledger, live: LiveReading) -> Iterator[str]:
    """What is to be known where the ledger was recovered and no rollout has begun since."""
    last = ledger.last(RECOVERED)
    if last is None:
        return
    yield f"the ledger was recovered at {moment(last.time_s)} from what the target says; what was before is not known"
    for track, releases in split_of(live.state).items():
        yield (
            f"{track} stays split between {' and '.join(releases)}: 'rollcast recover --to RELEASE' moves everybody "
            "to one of them"
        )


def _under_way(
    ledger: Ledger, live: LiveReading, notes: list[str], started: Record, about: dict[str, Any]
) -> tuple[dict[str, Any], RequestCounts, dict[str, float]]:
    context = load(ledger, started)
    plan = context.plan
    checkpoint = Checkpoint.of(ledger.position(started.rollout))
    position = checkpoint.position
    index = position.milestone if position else -1
    holder = ledger.holder()
    if checkpoint.intent is None and position is not None and position.rollback_from is None:
        notes.extend(f"drift: {text}" for text in moved(live.state, plan.state_at(index)))
    if holder is None or holder[0].is_gone or holder[1] <= 0:
        notes.append("no process is at work on the rollout; 'rollcast apply --resume' goes on with it")
    if position is not None and position.rollback_from is None and position.evidence and not checkpoint.counters:
        notes.append(UNCOUNTED)
    verdict = checkpoint.verdict if checkpoint.verdict and checkpoint.verdict["milestone"] == index else None
    awaits = _awaits(ledger, context, checkpoint)
    body = {
        **about,
        "outcome": None,
        "milestone": index,
        "milestones": len(plan.milestones),
        "stand": _stand(plan, index, position.rollback_from if position else None),
        "held": checkpoint.stands_still
        or (awaits["reason"] if awaits else "")
        or _held(ledger, started.rollout, position)
        or (checkpoint.told_hold if checkpoint.intent else None),
        "gates": verdict["gates"] if verdict else [],
        "guards": verdict["guards"] if verdict else [],
        "holder": str(holder[0]) if holder else None,
        **({"confirm": awaits} if awaits else {}),
    }
    return body, checkpoint.tally, desired_of(live.state.serving)


def _awaits(ledger: Ledger, context: RolloutContext, checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What the next milestone waits for, with what programs and webhooks last said that decides nothing."""
    milestone = awaited_of(context.plan, checkpoint.position) if checkpoint.intent is None else None
    if milestone is None:
        return None
    found = confirmations_of(ledger.records(-1, context.id), milestone, context.plan_digest).to_json()
    for which, one in enumerate(found["confirmations"]):
        one["unanswered"] = checkpoint.unanswered.get(question_of(context, milestone, which).id)
    return found


def _held(ledger: Ledger, rollout: str, position: Position | None) -> str | None:
    """Why the rollout stays where it is: what could not be proved, or who paused it, when and why."""
    if position is None or not (position.held or position.paused):
        return None
    if not position.paused:
        return position.held
    given = [(r.read(OrderedBody), r.time_s) for r in ledger.records(-1, rollout) if r.kind == "order"]
    pauses = [(order, time_s) for order, time_s in given if order.order == Order.PAUSE]
    if not pauses:
        return "paused"
    pause, paused_s = pauses[-1]
    why = pause.reason or "no reason was given"
    return f"paused by {pause.by or 'somebody'} at {moment(paused_s)}: {why}"


def _stand(plan: Plan, index: int, rollback_from: int | None) -> str:
    if rollback_from is not None:
        return f"during the rollback from milestone {rollback_from}"
    if index < 0:
        return "before the first milestone"
    return f"milestone {index} of {len(plan.milestones) - 1}, {plan.milestones[index].title}"


def serving_now(project: Project) -> Serving:
    """Which release serves whom now, by the flags of the target."""
    target = target_at(project.folder, project.environment)
    return read(target, project.declaration.each_pipeline(), edited=EditedFlags.LEFT_OUT).state.serving
