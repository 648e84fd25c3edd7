"""The points of the protocol that are tested, and what came of each. A check is a function registered for its point."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import httpx

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.conformance.subject import TestedService


class PointVerdict(StrEnum):
    """What came of a check."""

    HOLDS = "holds"
    BROKEN = "broken"
    NOT_JUDGED = "not judged"


class PointNotJudged(Exception):
    """A check that can't be made here. The text says what it needs."""


class PointBroken(Exception):
    """A point that does not hold. The text says what was seen."""


Check = Callable[[TestedService], str]


@dataclass(frozen=True)
class ProtocolPoint:
    """One check: the point of the specification that it holds a service to, whether a MUST, and in a few words what."""

    id: str
    must: bool
    title: str
    check: Check


@dataclass(frozen=True)
class PointFinding:
    """What came of one check, with what was seen or needed."""

    point: ProtocolPoint
    verdict: PointVerdict
    detail: str
    seconds: float

    @property
    def failed(self) -> bool:
        return self.verdict is PointVerdict.BROKEN and self.point.must


POINTS: list[ProtocolPoint] = []


def point(identity: str, title: str, must: bool = True) -> Callable[[Check], Check]:
    """Registers a check, in the order of the report. It gives what it saw, or raises PointBroken or PointNotJudged."""

    def register(check: Check) -> Check:
        POINTS.append(ProtocolPoint(identity, must, title, check))
        return check

    return register


def judged(subject: TestedService, points: Sequence[ProtocolPoint]) -> Iterator[PointFinding]:
    """What comes of each point, one after another. The definition is as it was before each."""
    for each in points:
        began = time.monotonic()
        try:
            subject.begin()
            verdict, detail = PointVerdict.HOLDS, each.check(subject)
        except PointNotJudged as reason:
            verdict, detail = PointVerdict.NOT_JUDGED, str(reason)
        except (PointBroken, StackError) as seen:
            verdict, detail = PointVerdict.BROKEN, str(seen)
        except httpx.HTTPError as error:
            verdict, detail = PointVerdict.BROKEN, f"the service does not answer ({error or type(error).__name__})"
        yield PointFinding(each, verdict, detail, time.monotonic() - began)


def demand(holds: object, seen: str) -> None:
    """Raises PointBroken where it does not hold."""
    if not holds:
        raise PointBroken(seen)
