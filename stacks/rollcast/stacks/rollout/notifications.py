"""Notifications without a rollout at work: that a plan awaits approval, and what receivers have not got yet."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Sequence
from typing import Any

from rollcast.planner.plan.models import Plan
from rollcast.stacks.base.errors import LedgerError, LockedError, StackError
from rollcast.stacks.eligibility.rule import Eligibility
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.rollouts import STARTED, ledger_of
from rollcast.stacks.notifying.messages import WAITING, WaitingBody
from rollcast.stacks.notifying.queue import AGAIN, AgainBody, Queue, subscribe
from rollcast.stacks.notifying.report import receivers_report
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.start import holding


def note_waiting(project: Project, plan: Plan, eligibility: Eligibility) -> None:
    """Writes down that a plan awaits approval, once for each plan, and delivers what is due.

    Nothing happens where nobody is to hear of it. What hinders it hinders nothing else: the next driver delivers.
    """
    if not project.environment.notify or eligibility.approvals is None:
        return
    ledger = ledger_of(project)
    body = WaitingBody(
        plan_digest=plan.digest,
        releases=dict(plan.to_release),
        awaited=list(eligibility.approvals.awaited),
        reason=eligibility.approvals.sentence,
    )
    with contextlib.suppress(LockedError, LedgerError), holding(ledger, take_over=False) as held:
        subscribe(ledger, held.lease, project.environment.notify)
        if not _noted(ledger, plan.digest):
            ledger.append(WAITING, "", body.to_json(), held.lease)
        _deliver([Queue(ledger, held.lease, receiver) for receiver in project.environment.notify])


def deliver(project: Project, *, again: bool = False) -> list[dict[str, Any]]:
    """Tries now to deliver what receivers have not got, `again` dead letters too; gives what is left after that.

    Raises StackError where nothing is declared, LockedError where a driver is at work: it delivers.
    """
    if not project.environment.notify:
        raise StackError(
            f"Environment '{project.environment_name}' names no receivers. Declare them under its 'notify'."
        )
    ledger = ledger_of(project)
    if again:
        ledger.append(AGAIN, "", AgainBody(by=getpass.getuser()).to_json())
    with holding(ledger, take_over=False) as held:
        subscribe(ledger, held.lease, project.environment.notify)
        queues = [Queue(ledger, held.lease, receiver) for receiver in project.environment.notify]
        for queue in queues:
            queue.hurry()
        _deliver(queues)
    return receivers_report(ledger, project.environment.notify)


def _deliver(queues: Sequence[Queue]) -> None:
    """Each until nothing is left, or a try has to wait."""
    for queue in queues:
        while queue.step() == 0.0:
            pass


def _noted(ledger: Ledger, plan_digest: str) -> bool:
    """Whether it was written down since the last rollout began that this plan waits."""
    began = ledger.last(STARTED)
    since = ledger.records(began.seq if began is not None else -1)
    return any(record.kind == WAITING and record.read(WaitingBody).plan_digest == plan_digest for record in since)


__all__ = ["deliver", "note_waiting"]
