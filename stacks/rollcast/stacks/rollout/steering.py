"""A person's orders: pause, promote, abort, roll back. One at work hears them; where nobody is, they are done here."""

from __future__ import annotations

import getpass
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rollcast.planner.base.errors import did_you_mean
from rollcast.planner.declaration.models import Bake, Declaration, RolloutSettings, Strategy
from rollcast.planner.plan.models import Binding, Plan
from rollcast.planner.planning.planner import make_plan
from rollcast.planner.rollout.state_machine import Outcome
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.events import Emit, Progressed, event_of
from rollcast.stacks.flags.definitions import stored
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import FinishedBody, Order, OrderedBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED, ledger_of, under_way
from rollcast.stacks.project import Project, tool_version
from rollcast.stacks.rollout.checkpoint import Checkpoint
from rollcast.stacks.rollout.drift import baseline_of, lineage_of
from rollcast.stacks.rollout.driver import Ended, exit_of
from rollcast.stacks.rollout.elsewhere import refuse_foreign
from rollcast.stacks.rollout.evidence import RequestCounts
from rollcast.stacks.rollout.start import UnderWay, resume

_POLL_S = 0.2
_RELEASE_S = 30.0


def give(project: Project, order: Order, *, full: bool = False, reason: str = "", cause: str = "by hand") -> Record:
    """Leaves an order for whoever carries the rollout on.

    Raises StackError when none is under way, or when a guard holds and no reason is given to promote in full over it.
    """
    ledger = ledger_of(project)
    started = under_way(ledger)
    if started is None:
        refuse_foreign(project)
        raise StackError(f"No rollout is under way, so there is nothing to {order}. See 'rollcast status'.")
    if order is Order.PROMOTE and full and not reason:
        _refuse_unreasoned(Checkpoint.of(ledger.position(started.rollout)).verdict)
    body = OrderedBody(order=order, full=full, reason=reason, by=getpass.getuser(), cause=cause)
    return ledger.append("order", started.rollout, body.to_json())


def _refuse_unreasoned(verdict: Mapping[str, Any] | None) -> None:
    """A guard that holds says that the evidence can't be believed: to skip every later gate then wants a reason."""
    holding = [guard["sentence"] for guard in (verdict or {}).get("guards", ()) if not guard["ok"]]
    if holding:
        raise StackError(
            f"A guard holds: {'; '.join(holding)}. To skip this and every later gate all the same, say why: "
            "'rollcast promote --full --reason TEXT'."
        )


def roll_back_now(project: Project, emit: Emit, reason: str, cause: str = "by hand") -> Ended:
    """Rolls back the rollout under way, to where it began: by the process at work, else by this one."""
    ledger = ledger_of(project)
    if not _at_work(ledger):
        ordered = OrderedBody(order=Order.ABORT, reason=reason, by=getpass.getuser(), cause=cause)
        return resume(project, emit, order=ordered)
    given = give(project, Order.ABORT, reason=reason, cause=cause)
    emit(Progressed(text="the process at work has the order; waiting for it"))
    return _await_end(project, ledger, given, emit)


def go_on(project: Project, emit: Emit, found: UnderWay, *, once: bool = False) -> Ended:
    """Goes on with the rollout under way. A process that watches a paused one gets the order, and is waited for."""
    ledger, started = found
    if not _at_work(ledger) or not _paused(ledger, started):
        ordered = OrderedBody(order=Order.RESUME, by=getpass.getuser())
        return resume(project, emit, once=once, order=ordered, found=found)
    given = give(project, Order.RESUME)
    emit(Progressed(text="the process at work watches over a paused rollout; it has the order to go on"))
    return _await_end(project, ledger, given, emit)


def _paused(ledger: Ledger, started: Record | None) -> bool:
    position = Checkpoint.of(ledger.position(started.rollout)).position if started else None
    return position is not None and position.paused


def _at_work(ledger: Ledger) -> bool:
    holder = ledger.holder()
    return holder is not None and holder[1] > 0 and not holder[0].is_gone


def _await_end(project: Project, ledger: Ledger, given: Record, emit: Emit) -> Ended:
    """Reports what another process does until its rollout is over; takes over when that process dies."""
    seen = given.seq
    while True:
        for record in ledger.records(seen, given.rollout):
            seen = record.seq
            emit(event_of(record.kind, record.body))
            if record.kind == FINISHED:
                _await_release(ledger)
                end = record.read(FinishedBody)
                return Ended(exit_of(end.ending), end.reason, RequestCounts.of(end.tally), end.outcome)
        if not _at_work(ledger) and under_way(ledger) is not None:
            return resume(project, emit, order=OrderedBody(order=Order.GO_ON, by=getpass.getuser()))
        time.sleep(_POLL_S)


def _await_release(ledger: Ledger) -> None:
    """A process that has ended its rollout gives its lease back a moment later; whoever goes on needs it."""
    until = time.monotonic() + _RELEASE_S
    while _at_work(ledger) and time.monotonic() < until:
        time.sleep(_POLL_S)


@dataclass(frozen=True)
class RollbackPlan:
    """A plan to an earlier release, and what it was made from. `drift` is put back before it begins."""

    plan: Plan
    declaration: Declaration
    digests: Mapping[str, str]
    drift: tuple[str, ...]


def plan_rollback(project: Project, to: str | None) -> RollbackPlan:
    """The way from what is live to an earlier release, without gates to wait for. Raises StackError."""
    refuse_foreign(project)
    ledger = ledger_of(project)
    found = baseline_of(project)
    live = found.state
    now = {track: {share.release for share in shares} for track, shares in live.serving.items()}
    started = _release_record(ledger, to, {name for names in now.values() for name in names})
    documents = started.read(StartedBody).documents
    declaration = stored(Declaration, ledger.get(documents["declaration"]), f"The declaration of {started.rollout}")
    digests = ledger.get(documents["digests"])
    at_once = without_gates(declaration, project)
    made = make_plan(at_once, live, project.environment_name, digests)
    binding = Binding(lineage=lineage_of(project), serial=live.serial, tool_version=tool_version())
    plan = made.model_copy(update={"live_state_digest": found.digest, "binding": binding})
    return RollbackPlan(plan, declaration, digests, found.drift)


def _release_record(ledger: Ledger, to: str | None, live: set[str]) -> Record:
    """The rollout that brought the release to go back to."""
    records = ledger.records()
    promoted = {r.rollout for r in records if r.kind == FINISHED and r.read(FinishedBody).ending is Outcome.PROMOTED}
    brought = [r for r in records if r.kind == STARTED and r.rollout in promoted and r.read(StartedBody).to_release]
    if to is None:
        earlier = [r for r in _verified(brought) if not live & set(r.read(StartedBody).to_release.values())]
        if not earlier:
            raise StackError("The ledger knows no earlier release to go back to. See 'rollcast history'.")
        return earlier[-1]
    found = [r for r in brought if to in r.read(StartedBody).to_release.values()]
    if not found:
        known = {name for r in brought for name in r.read(StartedBody).to_release.values()}
        raise StackError(f"The ledger knows no release '{to}' that was promoted here. {did_you_mean(to, known)}")
    return found[-1]


def _verified(brought: Iterable[Record]) -> list[Record]:
    """What served well, the oldest first. A release that was left by a rollback is not gone back to."""
    served: list[Record] = []
    for record in brought:
        body = record.read(StartedBody)
        if body.rollback:
            while served and served[-1].read(StartedBody).to_release != body.to_release:
                served.pop()
        if not served or served[-1].read(StartedBody).to_release != body.to_release:
            served.append(record)
    return served


def without_gates(declaration: Declaration, project: Project) -> Declaration:
    """A declaration that is reached at once: no gates, no bakes, no evaluations; in the environment as it is now."""
    here = {project.environment_name: project.environment.model_copy(update={"confirm": ()})}
    return declaration.with_rollouts(_at_once).model_copy(update={"environments": here})


def _at_once(rule: RolloutSettings) -> RolloutSettings:
    """The same buckets and drains, and nothing to wait for."""
    return rule.model_copy(
        update={
            "strategy": Strategy.ALL_AT_ONCE,
            "stages": (),
            "gates": (),
            "evaluate": (),
            "confirm": (),
            "bake": Bake(min=0.0, max=0.0),
            "keep_warm": 0.0,
        }
    )
