"""Records of the ledger as notifications: which of them a receiver may hear of, and in which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import Field

from rollcast.planner.base.wording import in_words
from rollcast.planner.declaration.receivers import NotifyEvent
from rollcast.planner.rollout.state_machine import Outcome
from rollcast.stacks.base.formats import StoredModel
from rollcast.stacks.ledger.ledger import Ledger
from rollcast.stacks.ledger.payloads import FailedBody, FinishedBody, HeldBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rollouts import FINISHED, STARTED

WAITING = "waiting"
_KINDS = (STARTED, "held", "failed", FINISHED, WAITING)
"""The kinds of records that may be worth a notification."""
_MOST_CHARACTERS = 2000  # of a reason: an error may quote a whole log


class WaitingBody(StoredModel):
    """A plan awaits the approval of people."""

    plan_digest: str
    releases: dict[str, str]
    awaited: list[str] = Field(default_factory=list)
    reason: str


@dataclass(frozen=True)
class Notification:
    """What receivers hear. `id` is the hash of its record; `releases`, by channel, are those that serve by it.

    `text` is one sentence for people, without a full stop; `time_s` is seconds since 1970.
    """

    id: str
    seq: int
    event: NotifyEvent
    scope: str
    time_s: float
    rollout: str
    text: str
    reason: str
    releases: Mapping[str, str]
    before: Mapping[str, str] = field(default_factory=dict)
    by: str = ""

    @property
    def pipeline(self) -> str:
        return self.scope.partition("/")[0]

    @property
    def environment(self) -> str:
        return self.scope.partition("/")[2]


class Notifications:
    """What receivers hear of one ledger's records. How a rollout began is looked up once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._begun: dict[str, StartedBody | None] = {}

    def of(self, record: Record) -> Notification | None:
        """None where a record is worth none.

        Raises FormatError on a record of a newer version, LedgerError on one that can't be read.
        """
        if record.kind == WAITING:
            return _waiting(record)
        if record.kind not in _KINDS:
            return None
        started = self._started(record)
        return _of_rollout(record, started) if started is not None else None

    def _started(self, record: Record) -> StartedBody | None:
        if record.kind == STARTED:
            self._begun[record.rollout] = record.read(StartedBody)
        elif record.rollout not in self._begun:
            own = (one for one in self._ledger.records(-1, record.rollout) if one.kind == STARTED)
            first = next(own, None)
            self._begun[record.rollout] = first.read(StartedBody) if first is not None else None
        return self._begun[record.rollout]


def _of_rollout(record: Record, started: StartedBody) -> Notification | None:
    before = {line: release for line, release in started.from_release.items() if release}
    after = dict(started.to_release)
    towards = in_words(dict.fromkeys(after.values())) or "nothing"
    if record.kind == STARTED:
        verb = "goes back to" if started.rollback else "rolls out"
        text = f"{record.rollout} {verb} {towards}" if after else f"{record.rollout} takes down all that serves"
        return _made(record, NotifyEvent.BEGAN, text, started.reason, after, before, started.by)
    if record.kind == "held":
        reason = record.read(HeldBody).reason
        return _made(record, NotifyEvent.HELD, f"{record.rollout} needs a person", reason, after, before)
    if record.kind == "failed":
        failed = record.read(FailedBody)
        text = f"{record.rollout} could not reach milestone {failed.milestone}, {failed.title}"
        return _made(record, NotifyEvent.FAILED, text, failed.error, after, before)
    return _finished(record, started, after, before)


def _finished(
    record: Record, started: StartedBody, after: Mapping[str, str], before: Mapping[str, str]
) -> Notification | None:
    ended = record.read(FinishedBody)
    back = in_words(dict.fromkeys(before.values())) or "nothing"
    towards = in_words(dict.fromkeys(after.values()))
    if ended.outcome == Outcome.ROLLED_BACK:
        text = f"{record.rollout} was rolled back, and everybody is on {back}"
        return _made(record, NotifyEvent.ROLLEDBACK, text, ended.reason, before, after)
    if ended.outcome != Outcome.PROMOTED:
        return None
    if not after:
        return _made(record, NotifyEvent.REMOVED, "nothing serves any more", ended.reason, {}, before)
    if started.rollback:
        text = f"everybody is back on {towards}"
        return _made(record, NotifyEvent.ROLLEDBACK, text, started.reason, after, before, started.by)
    return _made(record, NotifyEvent.DEPLOYED, f"everybody is on {towards}", ended.reason, after, before)


def _waiting(record: Record) -> Notification:
    body = record.read(WaitingBody)
    releases = in_words(dict.fromkeys(body.releases.values())) or "what is declared"
    return _made(record, NotifyEvent.WAITING, f"{releases} can't begin yet", body.reason, body.releases)


def _made(
    record: Record,
    event: NotifyEvent,
    text: str,
    reason: str,
    releases: Mapping[str, str],
    before: Mapping[str, str] | None = None,
    by: str = "",
) -> Notification:
    return Notification(
        id=record.hash.removeprefix("sha256:"),
        seq=record.seq,
        event=event,
        scope=record.scope,
        time_s=record.time_s,
        rollout=record.rollout,
        text=text,
        reason=_short(reason),
        releases=releases,
        before=before or {},
        by=by,
    )


def _short(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


__all__ = ["WAITING", "Notification", "Notifications", "WaitingBody"]
