"""Beginning a rollout, going on with one, rolling one back: what `apply`, `rollback` and `abort` do.

One process acts at a time: it holds the lease, renews it while it works, and its token is claimed at the target before
anything is written, so that whoever held the lease before can write nothing more.

Long because all that is looked at before a rollout begins is in one place.
"""

from __future__ import annotations

import contextlib
import getpass
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, NamedTuple

from rollcast.planner.declaration.models import Declaration
from rollcast.planner.plan.models import Plan
from rollcast.stacks import engine
from rollcast.stacks.base.errors import LedgerError, LockedError, StackError
from rollcast.stacks.base.events import Emit, Started
from rollcast.stacks.eligibility.rule import eligibility_of
from rollcast.stacks.engine.backends import refuse_other_backend
from rollcast.stacks.engine.update import EngineStack
from rollcast.stacks.flags import Holding
from rollcast.stacks.fleet.control import Unanswered
from rollcast.stacks.fleet.fleet import Fleet
from rollcast.stacks.ledger.lease import TTL_S, Lease
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import OrderedBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rejections import rejection
from rollcast.stacks.ledger.rollouts import RolloutContext, begin, is_recovered, ledger_of, load, under_way
from rollcast.stacks.notifying.queue import subscribe
from rollcast.stacks.notifying.sender import delivering
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.drift import baseline_of
from rollcast.stacks.rollout.driver import Driver, Ended, Exit
from rollcast.stacks.rollout.elsewhere import refuse_foreign
from rollcast.stacks.rollout.evidence import RequestCounts
from rollcast.stacks.rollout.milestones import MilestoneRunner
from rollcast.stacks.rollout.restore import put_back
from rollcast.stacks.rollout.stale_plan import refuse_stale
from rollcast.stacks.rollout.standstill import standstill_of
from rollcast.stacks.state.live import read, target_at
from rollcast.stacks.state.ownership import refuse_others
from rollcast.stacks.targets.opening import is_same_place
from rollcast.stacks.targets.target import Target
from rollcast.stacks.telemetry.guarded import Guarded

_ASKS = {"warm", "evaluate", "drain"}  # operations that can't do without the data plane's answer


class UnderWay(NamedTuple):
    """The project's ledger, and how the rollout began that is under way in it, if there is one."""

    ledger: Ledger
    started: Record | None


@dataclass(frozen=True)
class Held:
    """A lease in use, and the way to notice that a person wants to stop."""

    lease: Lease
    stopping: Callable[[], bool]
    on_second: list[Callable[[], None]]


def found_under_way(project: Project) -> UnderWay:
    """What is under way. Raises StackError where another owner holds the project's pipelines at its target."""
    refuse_foreign(project)
    ledger = ledger_of(project)
    return UnderWay(ledger, under_way(ledger))


def start(
    project: Project,
    plan: Plan,
    emit: Emit,
    *,
    once: bool = False,
    reason: str = "",
    declared: tuple[Declaration, Mapping[str, str]] | None = None,
    forecast: Mapping[str, Any] | None = None,
    rollback: bool = False,
    blind: bool = False,
    hotfix: str = "",
) -> Ended:
    """Carries out a plan. `declared`: what it was made from, with digests, where that is not the project's own.

    `forecast` is what was shown for it, kept in the ledger; `rollback`: it rolls back to an earlier release; `blind`:
    it waits for no evidence, so that telemetry may be out of reach; `hotfix`: why it does not wait until its release
    has served the environment before.

    What was changed by hand since the last rollout is put back first: the plan begins from what that left.

    Raises StaleError, LockedError, StackError; what was reached stays reached.
    """
    ledger = ledger_of(project)
    refuse_second(under_way(ledger))
    target = target_at(project.folder, plan.settings, ledger.scope)
    with holding(ledger, take_over=True, above=target.newest()) as held:
        refuse_second(under_way(ledger))
        found = baseline_of(project)
        made = {op.instance for op in plan.operations if op.kind == "provision" and op.instance}
        refuse_others(target, project.declaration.each_pipeline(), ledger.lineage(), made)
        refuse_stale(project, plan, found, own=declared is None)
        if not plan.empty:
            _open_once(project, plan, target, ledger, held.lease, evidence=not (rollback or blind))
        if found.drift:
            target.claim(held.lease.token)
            world = _world(project, held, ledger)
            held.on_second.append(world.end)
            put_back(project, found, world, ledger, held.lease, emit)
        if plan.empty:
            left = "what was changed by hand is put back" if found.drift else "nothing is left to do"
            return Ended(Exit.DONE, f"the live state is as declared: {left}", RequestCounts(), "nothing_to_do")
        may_enter = None if rollback else eligibility_of(project, plan)
        refused = rejection(ledger, plan, unattended=once) or (may_enter.refusal(hotfix) if may_enter else "")
        stands = None if rollback else standstill_of(project)
        refused = refused or (stands.refusal if stands is not None else "")
        if refused:
            return Ended(Exit.HELD, refused, RequestCounts())
        live = read(target, project.declaration.each_pipeline())
        target.claim(held.lease.token)
        stored = ledger.put(forecast) if forecast else None
        about: dict[str, Any] = {"reason": reason, "by": getpass.getuser(), "forecast": stored, "rollback": rollback}
        if rollback:
            about["declared"] = project.declaration_digest
        if may_enter is not None:
            about["eligibility"] = may_enter.to_json()
            about["hotfix"] = hotfix if not may_enter.served else ""
        subscribe(ledger, held.lease, project.environment.notify)
        declaration, digests = declared or (project.declaration, project.digests)
        first = is_recovered(ledger)  # the engine of the driver before may have left its stack in the middle
        context = begin(ledger, held.lease, plan, declaration, digests, live.routing, about)
        emit(Started(rollout=context.id, milestones=len(plan.milestones), hotfix=about.get("hotfix", "")))
        return _drive(project, context, ledger, held, emit, recover=first, once=once, stands=not rollback)


def resume(
    project: Project,
    emit: Emit,
    *,
    once: bool = False,
    order: OrderedBody | None = None,
    found: UnderWay | None = None,
) -> Ended:
    """Goes on with the rollout under way, after an order where one is given. Raises as `start` does.

    `found` is what `found_under_way` gave a moment ago; under the lease it is looked at again.
    """
    ledger, started = found or found_under_way(project)
    if started is None:
        raise StackError("No rollout is under way, so there is nothing to go on with. Run 'rollcast apply'.")
    with holding(ledger, take_over=True) as held:
        started = under_way(ledger)
        if started is None:
            raise StackError("The rollout ended just now. See 'rollcast status'.")
        context = _where_things_are(project, load(ledger, started))
        _world(project, held, ledger).end_orphans()  # one that was stopped in a write would hold the target's lock
        target_at(project.folder, context.plan.settings, ledger.scope).claim(held.lease.token)
        subscribe(ledger, held.lease, project.environment.notify)
        if order is not None:
            ledger.append("order", context.id, order.to_json(), held.lease)
        stands = not started.read(StartedBody).rollback
        return _drive(project, context, ledger, held, emit, recover=True, once=once, stands=stands)


def _drive(
    project: Project, context: RolloutContext, ledger: Ledger, held: Held, emit: Emit,
    *, recover: bool, once: bool, stands: bool,
) -> Ended:  # fmt: skip
    world = _world(project, held, ledger)
    held.on_second.append(world.end)
    with delivering(ledger, held.lease, project.environment.notify, emit) as emitted:
        try:
            if not recover:  # one that begins has something to do; one that is gone on with may only look
                world.prepare()
            _announce(project, context, ledger, held.lease)
            if recover:
                world.recover()
            source = Guarded(project.environment.telemetry, project.folder)
            steps = MilestoneRunner(project.folder, world)
            return Driver(context, ledger, held.lease, steps, source, emitted, held.stopping, stands=stands).run(once)
        finally:
            world.end()


def _announce(project: Project, context: RolloutContext, ledger: Ledger, lease: Lease) -> None:
    """Says at the target which ledger and driver hold it, for whoever finds it with another ledger."""
    holding = Holding(
        lineage=context.owner, ledger=ledger.place, driver=str(lease.holder), rollout=context.id, since_s=time.time(),
        identity=lease.holder.to_json(),
    )  # fmt: skip
    pipelines = sorted({track.pipeline for track in context.lines.values()})
    target_at(project.folder, context.plan.settings, ledger.scope).put_holding(lease.token, pipelines, holding)


def _open_once(project: Project, plan: Plan, target: Target, ledger: Ledger, lease: Lease, evidence: bool) -> None:
    """Opens what the rollout will need before it begins. Raises StackError: nothing was changed.

    The target is written by its fencing token. Where nothing serves yet there may be no telemetry, of which only the
    settings are looked at, and no data plane that answers yet; a rollback does without.
    """
    source, serves = Guarded(project.environment.telemetry, project.folder), any(plan.from_release.values())
    try:
        refuse_other_backend(ledger.backend(), project.folder)
        engine.require()
        target.claim(lease.token)
        if evidence:
            source.open()
        if evidence and serves:
            source.end()
        if evidence and any(operation.kind in _ASKS for operation in plan.operations):
            fleet = Fleet(plan.settings.endpoints)
            try:
                fleet.refuse_proxies()
                list(fleet.states())
            except Unanswered:
                if serves:
                    raise
    except StackError as error:
        raise type(error)(f"{error} The rollout has not begun, and nothing was changed.") from None


def _where_things_are(project: Project, context: RolloutContext) -> RolloutContext:
    """The rollout with the endpoint and the freezes as they are declared now, where it is about this target."""
    if not is_same_place(context.plan.settings, project.environment, project.folder):
        return context
    settings = context.plan.settings.reached_as(project.environment)
    return replace(context, plan=context.plan.model_copy(update={"settings": settings}))


def _world(project: Project, held: Held, ledger: Ledger) -> EngineStack:
    """The environment's stack, in the hands of whoever holds the lease. Raises StackError where it is elsewhere."""
    refuse_other_backend(ledger.backend(), project.folder)
    return EngineStack(project.folder, project.declaration.pipeline, project.environment_name, held.lease.token)


def refuse_second(started: Record | None) -> None:
    """Raises LockedError where a rollout is under way."""
    if started is not None:
        raise LockedError(
            f"Rollout {started.rollout} is under way here, and a second one does not mix with it. Go on with it "
            "('rollcast apply --resume'), roll it back ('rollcast abort'), or replace it (--supersede)."
        )


@contextlib.contextmanager
def holding(
    ledger: Ledger, *, take_over: bool, above: int = 0, beginning: tuple[str, dict[str, Any]] | None = None
) -> Iterator[Held]:
    """Holds the lease and renews it. SIGINT, SIGTERM or SIGHUP asks to stop at a safe state; a second one stops now.

    `above`, `beginning`: see `Ledger.acquire`.
    """
    lease = ledger.acquire(take_over, above=above, beginning=beginning)
    over = threading.Event()
    stop = threading.Event()
    second: list[Callable[[], None]] = []

    def renew() -> None:
        while not over.wait(TTL_S / 3):
            try:
                ledger.renew(lease)
            except LockedError:
                stop.set()
                for call in second:
                    call()
                return
            except LedgerError:
                continue  # out of reach for a while: the next write of the driver says so, and stops it

    def signalled(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            for call in second:
                call()
            raise KeyboardInterrupt
        stop.set()

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        with _signals(signalled):
            yield Held(lease, stop.is_set, second)
    finally:
        over.set()
        with contextlib.suppress(LedgerError):
            ledger.release(lease)


@contextlib.contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handles what asks a driver to end; elsewhere than in the main thread nothing is handled.

    Under 'nohup' SIGHUP stays ignored: a rollout goes on when its terminal closes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handled = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handled.append(signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
