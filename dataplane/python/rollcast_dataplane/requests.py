"""One request of the service: resolved at most once, counted exactly once, with one outcome, whatever becomes of it.

The object is made when a request comes in, by the middleware or by `DataPlane.request`, and is `current()` for
everything that runs for it, in threads and tasks that copy the context too.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from rollcast_dataplane.errors import Refused
from rollcast_dataplane.keys import chosen
from rollcast_dataplane.outcomes import gen_ai, tag_span, usable
from rollcast_dataplane.pins import Pin
from rollcast_dataplane.propagation import outgoing

if TYPE_CHECKING:
    from rollcast_dataplane.definitions import Definition
    from rollcast_dataplane.plane import DataPlane
    from rollcast_dataplane.releases import ServingRelease

CURRENT: ContextVar[ServedRequest | None] = ContextVar("rollcast_request", default=None)


def current() -> ServedRequest | None:
    """The request that this code runs for, or None."""
    return CURRENT.get()


class ServedRequest:
    """A request from its entry here to its last byte.

    `release`: what serves it, None until it is resolved. `id`, `key`, `key_kind`, `attributes`: as in its outcome.
    """

    def __init__(
        self, plane: DataPlane, named: str | None = None, others: Sequence[str] = (), presented: str | None = None
    ) -> None:
        """`named`: what its client calls it, which a client that tries again says again, so that it is no id."""
        self.id = uuid.uuid4().hex
        self.key, self.key_kind = "", "request"
        self.attributes: Mapping[str, Any] = {}
        self.release: ServingRelease | None = None
        self.fields: dict[str, Any] = {"client_request": named} if named else {}
        self.refusal: Refused | None = None
        self.pin_token: str | None = None
        self.others, self._presented = others, presented
        self._plane = plane
        self._began = time.perf_counter()
        self._first: float | None = None
        self._last: float | None = None
        self._lock = threading.Lock()  # for the moment of resolving and of ending, never between
        self._over = False

    # ---- resolve ------------------------------------------------------------------------------

    def carry(self, release: ServingRelease) -> None:
        """It was given this release by a trusted caller (spec C2)."""
        self._serve(release)

    def resolve(
        self, user: Any = None, session: Any = None, device: Any = None, attributes: Mapping[str, Any] | None = None
    ) -> ServingRelease:
        """What serves this request. Decided once: called again, it answers the same. Raises Refused."""
        try:
            with self._lock:
                if not self.key:
                    self.key, self.key_kind = chosen(user, session, device, self.id)
                    self.attributes = dict(attributes) if attributes else {}
                if self.release is None:
                    self._serve(self._choose(self._plane.definition(), session))
                assert self.release is not None
                return self.release
        except Refused as refusal:
            self.refusal = refusal
            raise

    def _choose(self, definition: Definition, session: Any) -> ServingRelease:
        pins = self._plane.pins
        named = chosen(None, session, None, "")[0] if session is not None and pins is not None else ""
        if pins is None or not named.startswith("session:"):
            return definition.evaluate(self.key, self.attributes)
        pin = pins.find(named, self._presented)
        found = definition.known(pin.release, pin.channel) if pin else None
        if pin is not None and found is not None:
            self.pin_token = pin.token
            return found
        fresh = definition.evaluate(self.key, self.attributes)
        held = pins.keep(named, Pin(fresh.id, fresh.channel), self._plane.session_s, pin)
        self.pin_token = held.token
        if pin is not None:
            self.fields["repinned"] = True
        return definition.known(held.release, held.channel) or fresh

    def _serve(self, release: ServingRelease) -> None:
        self.release = release
        self._plane.counts.enter(release.id)

    def headers(self) -> dict[str, str]:
        """The two headers of every call that this request causes (spec C1); none before it is resolved."""
        return outgoing(self.release.id, self.others) if self.release else {}

    # ---- its course ---------------------------------------------------------------------------

    @property
    def elapsed_s(self) -> float:
        """Seconds since it came in."""
        return time.perf_counter() - self._began

    @property
    def left_s(self) -> float | None:
        """What is left of the latency budget; None where there is none."""
        budget = self._plane.latency_budget_s
        return None if budget is None else budget - self.elapsed_s

    def outcome(self, **fields: Any) -> None:
        """Adds to its outcome: tokens, cost, judgements of monitors, labels. Numbers and booleans can be gated."""
        self.fields.update(fields)

    def byte(self) -> None:
        """A byte of the answer goes out: the first one is its time to first token, the newest one its latency."""
        self._last = time.perf_counter()
        if self._first is None:
            self._first = self._last

    def refused(self) -> dict[str, Any]:
        """The JSON that its caller gets where it is refused, with the release that it was on."""
        assert self.refusal is not None
        body = self.refusal.body()
        if body["release"] is None and self.release is not None:
            body["release"] = self.release.id
        return body

    def finish(self, error: bool = False) -> None:
        """It is over: no longer in flight, and its outcome is written. Called again, it does nothing."""
        with self._lock:
            if self._over:
                return
            self._over = True
        release = self.release
        if release is None and (self.refusal is None or self.refusal.status < 500):
            return  # it was never resolved, or its caller made a mistake: nothing was served
        try:
            self._write(error or (self.refusal is not None and self.refusal.status >= 500))
        finally:
            if release is not None:
                self._plane.counts.leave(release.id)  # last: what counts as finished has left its outcome

    def _write(self, error: bool) -> None:
        release, ended = self.release, self._last or time.perf_counter()
        record: dict[str, Any] = {
            "time": time.time(),
            "request": self.id,
            "key": self.key or None,
            "key_kind": self.key_kind,
            "channel": release.channel if release else None,
            "release": release.id if release else None,
            "components": release.artifacts if release else {},
            "attributes": self.attributes,
            "replica": self._plane.replica,
            "latency_s": round(ended - self._began, 6),
            "ttft_s": round((self._first or ended) - self._began, 6),
            "error": error,
        }
        fields = usable(self.fields)
        record |= fields
        record["error"] = bool(record["error"]) or error
        self._plane.outcomes.write(record)
        if self._plane.traced:
            self._tag(fields)

    def _tag(self, fields: Mapping[str, Any]) -> None:
        about: dict[str, Any] = {"rollcast.request": self.id, "rollcast.key_kind": self.key_kind}
        if self.release is not None:
            about |= {"rollcast.release": self.release.id, "rollcast.channel": self.release.channel}
            about |= {f"rollcast.component.{slot}": name for slot, name in self.release.artifacts.items()}
        tag_span(about | gen_ai(fields))
