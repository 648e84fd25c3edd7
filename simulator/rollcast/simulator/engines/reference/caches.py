"""A station's cache: least recently used makes room, results may expire."""

from __future__ import annotations

from collections import OrderedDict

from rollcast.simulator.stations.profiles import Cache


class ResultCache:
    """Which queries have a result, and since when."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.made_s: OrderedDict[int, float] = OrderedDict()

    def hit(self, query: int, now_s: float) -> bool:
        """Whether a usable result is there. Using it makes it the most recent."""
        made_s = self.made_s.get(query)
        if made_s is None:
            return False
        if self.cache.ttl_s is not None and now_s - made_s >= self.cache.ttl_s:
            del self.made_s[query]
            return False
        self.made_s.move_to_end(query)
        return True

    def keep(self, query: int, now_s: float) -> None:
        """Keeps a new result; the least recently used one makes room."""
        if query not in self.made_s and len(self.made_s) >= self.cache.entries:
            self.made_s.popitem(last=False)
        self.made_s[query] = now_s
        self.made_s.move_to_end(query)
