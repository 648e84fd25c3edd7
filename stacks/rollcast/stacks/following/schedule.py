"""When an environment is looked at again: a function of how the last look ended, and of what changed since.

At once where what is declared changed, or the ledger did: of the environment, or of the one that it comes after. At
the usual pace while a rollout is under way. Ever more slowly where something is broken. Else, where nothing moves, so
seldom that it costs nothing: only a change by hand would be found.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class RolloutState(StrEnum):
    """Where an environment stands after a look."""

    DECLARED = "declared"  # what is declared serves
    UNDER_WAY = "under_way"
    HELD = "held"  # a rollout is under way and waits for a person
    WAITING = "waiting"  # nothing is under way: what is declared may not enter, or was rejected
    ROLLED_BACK = "rolled_back"
    BLOCKED = "blocked"  # by a guardrail
    LOCKED = "locked"  # another process is at work on it
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # it was asked to end, and did at a safe state


@dataclass(frozen=True)
class LastLook:
    """How a look ended. Times in seconds of one clock.

    `content`, `newest`: what it looked at, from before it began, so that nothing that came meanwhile is missed; of one
    that failed from after it, for it writes that down itself. `failures`: how often in a row it has failed; `due_s`:
    when a time that it waits for is over, None where it waits for none.
    """

    at_s: float
    state: RolloutState
    content: str
    newest: tuple[int, ...]
    failures: int = 0
    due_s: float | None = None


@dataclass(frozen=True)
class Pace:
    """`interval_s`: between two looks while something moves; `rest_s`: where nothing does."""

    interval_s: float
    rest_s: float


_AT_PACE = {
    RolloutState.UNDER_WAY, RolloutState.HELD, RolloutState.ROLLED_BACK, RolloutState.LOCKED, RolloutState.INTERRUPTED,
}  # fmt: skip

_GOES_ON = {
    RolloutState.DECLARED,
    RolloutState.UNDER_WAY,
    RolloutState.ROLLED_BACK,
}  # a look that did something may more


def due_at_s(last: LastLook | None, content: str, newest: tuple[int, ...], pace: Pace) -> float:
    """When to look again, on the clock of `LastLook.at_s`; what lies in the past is due now."""
    if last is None:
        return 0.0
    if last.content != content or (last.newest != newest and last.state in _GOES_ON):
        return last.at_s
    if last.newest != newest or last.state in _AT_PACE:
        return last.at_s + pace.interval_s
    rest_s = last.at_s + max(pace.rest_s, pace.interval_s)
    if last.state is RolloutState.FAILED:
        return min(rest_s, last.at_s + pace.interval_s * 2.0 ** min(last.failures, 16))
    return rest_s if last.due_s is None else min(rest_s, max(last.due_s, last.at_s + pace.interval_s))


__all__ = ["LastLook", "Pace", "RolloutState", "due_at_s"]
