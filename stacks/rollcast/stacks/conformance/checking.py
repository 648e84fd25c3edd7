"""All checks of a service, and its definition put back whatever happens."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.conformance import carrying, counting, keeping, resolving
from rollcast.stacks.conformance.points import POINTS, PointFinding, ProtocolPoint, judged
from rollcast.stacks.conformance.probe import Probe
from rollcast.stacks.conformance.subject import TestedService

__all__ = ["carrying", "check", "counting", "keeping", "points", "resolving"]  # which register their points


def points() -> tuple[ProtocolPoint, ...]:
    """Every point that is tested, in the order of the specification."""
    order = list("RCPKATDV")
    return tuple(sorted(POINTS, key=lambda each: (order.index(each.id[0]), int(each.id[1:]))))


def check(urls: list[str], probe: Probe, only: Collection[str] = ()) -> Iterator[PointFinding]:
    """What comes of every point, or of `only` these. Raises StackError where the service can't be tested at all."""
    chosen = [each for each in points() if not only or each.id in only]
    unknown = sorted(set(only) - {each.id for each in chosen})
    if unknown:
        known = ", ".join(each.id for each in points())
        raise StackError(f"No check is called {', '.join(unknown)}. There are {known}.")
    subject = TestedService(urls, probe)
    try:
        yield from judged(subject, chosen)
    finally:
        subject.abandon()
