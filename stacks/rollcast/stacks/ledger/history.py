"""The ledger, read: which rollouts there were, and how each ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import (
    CONFIRMATION,
    ConfirmationBody,
    FailedBody,
    FinishedBody,
    IntentBody,
    MovedBody,
    OrderedBody,
    RecoveredBody,
    RetriedBody,
    StartedBody,
)
from rollcast.stacks.ledger.records import Record, verify
from rollcast.stacks.ledger.rejections import RETRIED
from rollcast.stacks.ledger.rollouts import FINISHED, RECOVERED, STARTED

FORMAT_VERSION = "1.0"


def history(ledger: Ledger) -> dict[str, Any]:
    """Every rollout, the newest first, and whether the chain is whole. Raises LedgerError when it is not."""
    records = ledger.records()
    count = verify(records)
    recovered = [{"time_s": r.time_s, **r.read(RecoveredBody).known} for r in records if r.kind == RECOVERED]
    rollouts = [_rollout(records, record) for record in records if record.kind == STARTED]
    return {
        "format_version": FORMAT_VERSION,
        "scope": ledger.scope,
        "records": count,
        "head": records[-1].hash if records else None,
        "rollouts": rollouts[::-1],
        **({"recoveries": recovered[::-1]} if recovered else {}),
    }


def _rollout(records: Iterable[Record], started: Record) -> dict[str, Any]:
    own = [record for record in records if record.rollout == started.rollout]
    ending = next((record for record in own if record.kind == FINISHED), None)
    ended = ending.read(FinishedBody) if ending else None
    body = started.read(StartedBody)
    return {
        "id": started.rollout,
        "started_s": started.time_s,
        "ended_s": ending.time_s if ending else None,
        "by": body.by,
        "why": body.reason,
        "from_release": body.from_release,
        "to_release": body.to_release,
        "plan_digest": body.plan_digest,
        "hotfix": body.hotfix,
        "approved_by": body.approved_by,
        "outcome": ended.outcome if ended else None,
        "reason": ended.reason if ended else "",
        "milestones": [_step(record) for record in own if record.kind == "reached"],
        "orders": [{"time_s": r.time_s, **r.read(OrderedBody).known} for r in own if r.kind == "order"],
        "confirmations": [
            {"time_s": r.time_s, **r.read(ConfirmationBody).known} for r in own if r.kind == CONFIRMATION
        ],
        "retries": [{"time_s": r.time_s, **r.read(RetriedBody).known} for r in own if r.kind == RETRIED],
        "failures": [r.read(FailedBody).error for r in own if r.kind == "failed"],
        "drift": [text for r in own if r.kind == "drift" for text in r.read(MovedBody).moved],
        "tally": {k: v for k, v in ended.tally.items() if k != "format"} if ended else None,
    }


def _step(record: Record) -> dict[str, Any]:
    body = record.read(IntentBody)
    return {
        "time_s": record.time_s,
        "milestone": body.milestone,
        "title": body.title,
        "rollback": body.rollback,
    }
