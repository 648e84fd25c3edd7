"""A cache of frequent outputs that never serves one release's value under another (spec K1).

    answers = ReleaseCache(10_000, ttl_s=600)
    hits = answers.get_or_make(text, lambda: search(text), "index")   # kept while nothing that made it changes

Keys hold the release of the current request, or what can have made the values of the slots that are named. Bounded, the
least used goes first. The lock is held for a look, never while a value is made.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from rollcast_dataplane.errors import NoRelease
from rollcast_dataplane.requests import current

T = TypeVar("T")


class ReleaseCache:
    """At most `most` values, each for at most `ttl_s` seconds."""

    def __init__(self, most: int, ttl_s: float | None = None) -> None:
        self._most, self._ttl_s = most, ttl_s
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[str, Hashable], tuple[float, Any]] = OrderedDict()
        self.hits = self.misses = 0

    def get_or_make(self, key: Hashable, make: Callable[[], T], *slots: str) -> T:
        """The value of a key under the current release, made where there is none."""
        whole = (_release_part(slots), key)
        found, value = self._look(whole)
        if found:
            kept: T = value
            return kept
        made = make()
        self._put(whole, made)
        return made

    def find(self, key: Hashable, *slots: str) -> Any:
        """The value of a key under the current release, or None."""
        return self._look((_release_part(slots), key))[1]

    def put(self, key: Hashable, value: Any, *slots: str) -> None:
        """Keeps a value that the current release made."""
        self._put((_release_part(slots), key), value)

    def _look(self, whole: tuple[str, Hashable]) -> tuple[bool, Any]:
        with self._lock:
            entry = self._values.get(whole)
            if entry is None or entry[0] < time.monotonic():
                self.misses += 1
                return False, None
            self._values.move_to_end(whole)
            self.hits += 1
            return True, entry[1]

    def _put(self, whole: tuple[str, Hashable], value: Any) -> None:
        until = float("inf") if self._ttl_s is None else time.monotonic() + self._ttl_s
        with self._lock:
            self._values[whole] = (until, value)
            self._values.move_to_end(whole)
            while len(self._values) > self._most:
                self._values.popitem(last=False)


def _release_part(slots: tuple[str, ...]) -> str:
    request = current()
    if request is None or request.release is None:
        raise NoRelease("No request is resolved here, so nothing can be cached for its release. Resolve it first.")
    return request.release.cache_key(*slots)
