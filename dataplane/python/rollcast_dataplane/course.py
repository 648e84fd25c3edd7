"""A request's own course, as its release declares it: timeouts of components, the lighter fallback, a latency budget.

    answer = call("generator", lambda slot: models[release.instance(slot)].answer(text))
    answer = await call_async("generator", lambda slot: model_of(release.instance(slot)).answer(text))

The work is called with the slot that is to do it: the one named, or, where that is late, its declared fallback. A slot
has its `timeout_s`, and no more than what is left of the request's budget. Work that is late is cancelled where it can
be (a task), and left to end where it can't (a thread); its result is nobody's.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from functools import cache
from typing import Any, TypeVar

from rollcast_dataplane.errors import NoRelease
from rollcast_dataplane.requests import ServedRequest, current

T = TypeVar("T")
_THREADS = 64


class Late(TimeoutError):
    """A component took longer than it may, and nothing lighter answered."""


def call(slot: str, work: Callable[[str], T]) -> T:
    """What `work(slot)` gives within the time that the slot has, else what `work(fallback)` does. Raises Late."""
    request, tried = _current(), [slot]
    while True:
        limit_s = _limit(request, tried[-1], last=_fallback(request, tried) is None)
        if limit_s is None:
            return work(tried[-1])
        if limit_s > 0:
            future = prefetch(work, tried[-1])
            try:
                return future.result(limit_s)
            except FutureTimeout:
                if future.done() and not future.cancelled():
                    return future.result()  # its own timeout, or it was done at that very moment
                future.cancel()
        _next(request, tried, limit_s)


async def call_async(slot: str, work: Callable[[str], Awaitable[T]]) -> T:
    """The same for coroutines. Raises Late."""
    request, tried = _current(), [slot]
    while True:
        limit_s = _limit(request, tried[-1], last=_fallback(request, tried) is None)
        if limit_s is None:
            return await work(tried[-1])
        if limit_s > 0:
            scope = asyncio.timeout(limit_s)
            try:
                async with scope:
                    return await work(tried[-1])
            except TimeoutError:
                if not scope.expired():
                    raise
        _next(request, tried, limit_s)


def prefetch(work: Callable[..., T], *arguments: Any) -> Future[T]:
    """Begins work for this request in a thread, before its result is needed. It carries the release, too."""
    return _pool().submit(contextvars.copy_context().run, work, *arguments)


def _current() -> ServedRequest:
    request = current()
    if request is None or request.release is None:
        raise NoRelease("No request is resolved here. Call 'plane.resolve' first.")
    return request


def _fallback(request: ServedRequest, tried: list[str]) -> str | None:
    assert request.release is not None
    found = request.release.component(tried[-1]).get("fallback")
    return found if isinstance(found, str) and found not in tried and found in request.release.components else None


def _limit(request: ServedRequest, slot: str, last: bool) -> float | None:
    """Seconds that a slot has; None where nothing limits it. The last one in the chain is not cut by the budget."""
    assert request.release is not None
    own = request.release.component(slot).get("timeout_s")
    left = None if last else request.left_s
    limits = [float(each) for each in (own, left) if isinstance(each, int | float)]
    return min(limits) if limits else None


def _next(request: ServedRequest, tried: list[str], limit_s: float) -> None:
    fallback = _fallback(request, tried)
    if fallback is None:
        raise Late(f"'{tried[-1]}' took longer than {limit_s:.3g} s, and no component is declared to answer for it.")
    fell_back = dict(request.fields.get("fell_back") or {})
    request.outcome(fell_back={**fell_back, tried[-1]: fallback}, fallbacks=len(fell_back) + 1)
    tried.append(fallback)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "rollcast-work")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked worker has none of its parent's threads
