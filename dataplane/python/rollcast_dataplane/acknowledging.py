"""What runs beside the requests: the look at the source, and the acknowledgements to every relay (spec A7).

Daemon threads, started by the first request or by `start`; a forked worker has its own. None of them holds anything
that a request waits for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from rollcast_dataplane.errors import SourceGone
from rollcast_dataplane.flags import Flags
from rollcast_dataplane.sources import LONG_POLL_S, PROTOCOL, Relay, nap

LEASE_S = 10.0
INTERVAL_S = 1.0
_ANSWER_S = 3.0


class Background:
    """Threads of one process. `state` says what the replica is now; `warm` makes an instance ready, or raises."""

    def __init__(
        self,
        flags: Flags,
        relays: Sequence[Relay],
        state: Callable[[], dict[str, Any]],
        warm: Callable[[str], None],
        look_after: Callable[[], None],
    ) -> None:
        self._flags, self._relays, self._state, self._warm = flags, relays, state, warm
        self._look_after = look_after
        self._stopping = threading.Event()
        self._changed = [threading.Event() for _ in relays]
        self._acknowledging: list[threading.Thread] = []
        self._wanted: set[str] = set()
        self._refused: dict[str, str] = {}

    @property
    def refused(self) -> str | None:
        """What relays say against the protocol that is spoken here."""
        return "; ".join(self._refused.values()) or None

    def start(self) -> None:
        """Begins. What the source says at this moment is known when it returns."""
        self._flags.refresh()
        self._spawn("source", self._watch)
        for number, relay in enumerate(self._relays):
            self._acknowledging.append(self._spawn(f"relay-{number}", partial(self._acknowledge, relay, number)))

    @staticmethod
    def _spawn(name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, name=f"rollcast-{name}", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Ends, and says goodbye to every relay."""
        self._stopping.set()
        self.changed()
        for thread in self._acknowledging:
            thread.join(_ANSWER_S)  # so that goodbye is the last word
        for relay in self._relays:
            self._report(relay, leaving=True)

    def _watch(self) -> None:
        while not nap(self._stopping, self._flags.pause_s()):
            try:
                if self._flags.refresh(LONG_POLL_S):
                    self.changed()
                self._look_after()
            except Exception:  # whatever it is, it is looked at again: what serves does not depend on it
                self._stopping.wait(INTERVAL_S)

    def changed(self) -> None:
        """Every relay hears of it at once."""
        for event in self._changed:
            event.set()

    def _acknowledge(self, relay: Relay, number: int) -> None:
        interval_s = 0.0
        while True:
            self._changed[number].wait(interval_s)
            self._changed[number].clear()
            if self._stopping.is_set():
                return
            interval_s = self._report(relay, leaving=False)

    def _report(self, relay: Relay, leaving: bool) -> float:
        """Sends one acknowledgement. Seconds until the next."""
        state = {**self._state(), "lease_s": LEASE_S, "leaving": leaving}
        try:
            path = f"/rollcast/v1/replicas/{quote(state['replica'], safe='')}"
            status, _, text = relay.ask("POST", path, state, {}, _ANSWER_S)
            answer = json.loads(text)
        except (SourceGone, ValueError):
            return INTERVAL_S
        if not isinstance(answer, dict):
            return INTERVAL_S
        if status == 426:
            spoken = answer.get("protocol")
            self._refused[relay.url] = f"relay {relay.url} speaks protocol {spoken}, and this kit {PROTOCOL}"
            return INTERVAL_S
        self._refused.pop(relay.url, None)
        wanted = answer.get("warm")
        for instance in wanted if isinstance(wanted, list) and not leaving else ():
            self._make_warm(str(instance))
        interval = answer.get("interval_s")
        if not isinstance(interval, int | float):
            return INTERVAL_S
        return min(max(float(interval), 0.05), LEASE_S / 3)

    def _make_warm(self, instance: str) -> None:
        """In a thread of its own, once at a time: a model that takes minutes to load holds up no lease."""
        if instance in self._wanted or instance in self._state()["warm"]:
            return
        self._wanted.add(instance)

        def work() -> None:
            try:
                self._warm(instance)
                self.changed()
            except Exception:  # not ready yet: it is not listed as warm, and the next answer asks for it again
                self._stopping.wait(INTERVAL_S)
            finally:
                self._wanted.discard(instance)

        self._spawn("warm", work)
