"""Releases that were rolled back are remembered as rejected: nothing begins them again by itself.

What rejected one stands in the ledger. It holds for one declaration with one set of releases, until another one is
declared or a person lets it be tried again (`rollcast retry`). What a gate or an evaluation rolled back is rejected for
every `apply`: its error rate is spent. What a person rolled back is rejected for `apply --once` alone, for a person who
runs `apply` afterwards decides again. What was rolled back because something else was declared is not rejected.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from dataclasses import dataclass

from rollcast.planner.plan.models import Plan
from rollcast.planner.releases.releases import canonical
from rollcast.planner.rollout.state_machine import Outcome
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import FinishedBody, RetriedBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED
from rollcast.stacks.project import Project

RETRIED, SUPERSEDED = "retried", "superseded"
REMEDY = "Declare another release, or let it be tried again: rollcast retry --reason TEXT"
_Key = tuple[str, str]


@dataclass(frozen=True)
class Rejected:
    """A release that is not tried again: which rollout left it, why, and whether a person led it back."""

    rollout: str
    releases: tuple[str, ...]
    reason: str
    by_hand: bool

    def __str__(self) -> str:
        return f"{', '.join(self.releases)} was rolled back ({self.rollout}: {self.reason}) and is not tried again"


def rejection(ledger: Ledger, plan: Plan, *, unattended: bool) -> str:
    """Why a plan is not begun, and what to do; empty where it may be. `unattended`: no person requested it now."""
    found = _rejected(ledger.records()).get((plan.binding.declaration_digest, canonical(plan.to_release)))
    return f"{found}. {REMEDY}" if found and (unattended or not found.by_hand) else ""


def rejected_of(ledger: Ledger, project: Project) -> Rejected | None:
    """What of the declaration as it is now was rejected last."""
    declared = project.declaration_digest
    own = [found for (digest, _), found in _rejected(ledger.records()).items() if digest == declared]
    return own[-1] if own else None


def retry(ledger: Ledger, project: Project, reason: str) -> Rejected:
    """Lets what is declared be tried again. Raises StackError where nothing of it was rejected, or without a reason."""
    if not reason.strip():
        raise StackError("Say why the release is to be tried again: rollcast retry --reason TEXT")
    found = rejected_of(ledger, project)
    if found is None:
        raise StackError(f"Nothing that {project.file} declares was rejected. Run 'rollcast apply'.")
    ledger.append(RETRIED, found.rollout, RetriedBody(reason=reason, by=getpass.getuser()).to_json())
    return found


def _rejected(records: Iterable[Record]) -> dict[_Key, Rejected]:
    """What is rejected now, by declaration and releases; what was rejected last stands last."""
    found: dict[_Key, Rejected] = {}
    own: dict[str, list[Record]] = {}
    for record in records:
        own.setdefault(record.rollout, []).append(record)
        if record.kind == RETRIED:
            found = {key: one for key, one in found.items() if one.rollout != record.rollout}
        elif record.kind == FINISHED and own[record.rollout][0].kind == STARTED:
            _judge(found, own[record.rollout], record)
    return found


def _judge(found: dict[_Key, Rejected], own: list[Record], ended: Record) -> None:
    """What the end of a rollout rejects, or accepts."""
    body, end = own[0].read(StartedBody), ended.read(FinishedBody)
    rolled_back = end.ending is Outcome.ROLLED_BACK
    if body.rollback:
        left, by_hand, reason = dict(body.from_release), True, body.reason
        key = (body.declared, canonical(left))
        rejects = not rolled_back
    else:
        left, reason = dict(body.to_release), end.reason
        key = (body.binding["declaration_digest"], canonical(left))
        by_hand = not any(record.kind == "rollback" for record in own)
        rejects = rolled_back and not (by_hand and any(r.body.get("cause") == SUPERSEDED for r in own))
        found.pop(key, None)
    if rejects and key[0]:
        found.pop(key, None)
        releases = tuple(dict.fromkeys(name for name in left.values() if name))
        found[key] = Rejected(own[0].rollout, releases, reason, by_hand)
