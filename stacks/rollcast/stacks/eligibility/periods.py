"""How long a release served everybody of a channel in an environment, by the ledger's records alone.

A period begins when a rollout promoted the release, and ends when another one was promoted in its place. While another
rollout of that channel is under way its time stands still, and goes on once that one was rolled back. A release that
was rolled back has nothing of what it served before: it was promoted by mistake. One that was only superseded on its
way has.

Times are seconds since 1970 by the writers' clocks, and what is counted is the difference of two of them: 24 hours are
86,400 s. No time zone takes part, so summer time begins and ends without being noticed; a clock that was put back
between two records counts nothing for the time between.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rollcast.planner.rollout.state_machine import Outcome
from rollcast.stacks.ledger.payloads import FinishedBody, StartedBody
from rollcast.stacks.ledger.records import Record
from rollcast.stacks.ledger.rejections import SUPERSEDED
from rollcast.stacks.ledger.rollouts import FINISHED, RECOVERED, STARTED


@dataclass(frozen=True)
class ServedPeriod:
    """A release served everybody of a channel. `since_s`: when it was promoted; `served_s`: what is counted since.

    `running`: whether its time goes on now; `current`: whether it is what was promoted last.
    """

    release: str
    since_s: float
    served_s: float
    running: bool
    current: bool


@dataclass(frozen=True)
class ServedHistory:
    """What served a channel in an environment: the periods that count, the oldest first.

    `left`: why a release was rolled back last, by release. `under_way`: (rollout, its release, whether it goes back) of
    one that moves this channel now.
    """

    periods: tuple[ServedPeriod, ...] = ()
    left: dict[str, str] = field(default_factory=dict)
    under_way: tuple[str, str | None, bool] | None = None

    def longest(self, release: str) -> ServedPeriod | None:
        """The period of a release that counts most; None where it has none. Of equal ones the newest."""
        own = [period for period in self.periods if period.release == release]
        return max(reversed(own), key=lambda period: period.served_s, default=None)

    def leaves(self, release: str) -> bool:
        """Whether a release serves, and is being rolled back now."""
        going_back = self.under_way is not None and self.under_way[2]
        return going_back and any(period.release == release and period.current for period in self.periods)


def served_history(records: Iterable[Record], track: str, now_s: float) -> ServedHistory:
    """What the records of an environment say of a channel, as of `now_s`."""
    found = _Reading(track)
    for record in records:
        if record.kind == STARTED:
            found.started(record)
        elif record.kind == FINISHED:
            found.finished(record)
        elif record.kind == RECOVERED:
            found.recovered()
        elif record.body.get("cause") == SUPERSEDED:
            found.superseded.add(record.rollout)
    return found.history(now_s)


@dataclass
class _Open:
    """The period of what was promoted last. `runs_since_s`: since when its time goes on; None while it stands still."""

    release: str
    since_s: float
    served_s: float = 0.0
    runs_since_s: float | None = None

    def stop(self, now_s: float) -> None:
        if self.runs_since_s is not None:
            self.served_s += max(0.0, now_s - self.runs_since_s)
            self.runs_since_s = None


@dataclass
class _Reading:
    """The records of one channel, one after another."""

    track: str
    bodies: dict[str, StartedBody] = field(default_factory=dict)
    superseded: set[str] = field(default_factory=set)
    closed: list[ServedPeriod] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    open_: _Open | None = None
    under_way: str | None = None

    def started(self, record: Record) -> None:
        body = self.bodies[record.rollout] = record.read(StartedBody)
        if self.open_ is None or body.to_release.get(self.track) != self.open_.release:
            self.under_way = record.rollout
            if self.open_ is not None:
                self.open_.stop(record.time_s)

    def finished(self, record: Record) -> None:
        body = self.bodies.get(record.rollout)
        if body is None or self.under_way != record.rollout:
            return
        self.under_way = None
        end, release = record.read(FinishedBody), body.to_release.get(self.track)
        if end.ending is Outcome.PROMOTED:
            self._close()
            before = body.from_release.get(self.track)
            if body.rollback and before is not None and before != release:
                self._forget(before, f"{record.rollout}: {body.reason or end.reason}")
            if release is not None:
                self.left.pop(release, None)
                self.open_ = _Open(release, record.time_s, runs_since_s=record.time_s)
            return
        failed = end.ending is Outcome.ROLLED_BACK and not body.rollback and record.rollout not in self.superseded
        if failed and release is not None:
            self._forget(release, f"{record.rollout}: {end.reason}")
        if self.open_ is not None:
            self.open_.runs_since_s = record.time_s

    def recovered(self) -> None:
        """What a restored ledger says of now is older than what serves: nothing of it goes on."""
        self._close()
        self.under_way = None

    def _close(self) -> None:
        if self.open_ is not None:
            period = self.open_
            self.closed.append(ServedPeriod(period.release, period.since_s, period.served_s, False, False))
            self.open_ = None

    def _forget(self, release: str, why: str) -> None:
        self.closed = [period for period in self.closed if period.release != release]
        self.left[release] = why

    def history(self, now_s: float) -> ServedHistory:
        periods = list(self.closed)
        if self.open_ is not None:
            one, running = self.open_, self.open_.runs_since_s is not None
            served_s = one.served_s + (max(0.0, now_s - one.runs_since_s) if one.runs_since_s is not None else 0.0)
            periods.append(ServedPeriod(one.release, one.since_s, served_s, running, True))
        moving = None
        if self.under_way is not None:
            body = self.bodies[self.under_way]
            moving = (self.under_way, body.to_release.get(self.track), body.rollback)
        return ServedHistory(tuple(periods), dict(self.left), moving)
