"""The data plane of one pipeline in one process: the whole kit in one object.

    plane = DataPlane("help-desk", definition="flags.json", telemetry="telemetry")
    release = plane.resolve(user=body.get("user"), session=body.get("session"))

Everything is decided by what the release says; nothing here asks which version is live. Long because the settings of a
service, and what each is for, stand in one place.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rollcast_dataplane.acknowledging import Background
from rollcast_dataplane.counting import ReleaseCounts
from rollcast_dataplane.definitions import BUCKETING, Definition, flag_key
from rollcast_dataplane.errors import NoRelease, Refused, UnknownRelease
from rollcast_dataplane.flags import Flags
from rollcast_dataplane.outcomes import OutcomeLog
from rollcast_dataplane.pins import FilePins, Pins
from rollcast_dataplane.propagation import BAGGAGE, HEADER, incoming
from rollcast_dataplane.releases import ServingRelease
from rollcast_dataplane.requests import CURRENT, ServedRequest
from rollcast_dataplane.sources import PROTOCOL, FileSource, RelaySource, Source

VERSION = "0.1.0"
KIT = f"rollcast-dataplane-python/{VERSION}"
_MOST_WARM = 4096

Warm = Callable[[str], Any]
Evaluate = Callable[[ServingRelease, str], Mapping[str, Any]]


class DataPlane:
    """One pipeline, served by this process.

    definition, relays: where flags come from: a file, or the addresses of relays (all are acknowledged to).
    state: folder of the last known definition and of pinned sessions. telemetry: folder of outcomes, or None.
    warm(instance): makes an instance ready; raises, or gives False, where it is not yet.
    evaluate(release, suite): `{"cases": n, "metrics": {…}}` of a suite on a release that may serve nobody yet.
    trust: whose headers give a release (spec C4): None, nobody; True, every caller; else networks such as "10.0.0.0/8".
    pins: where sessions keep their release (None: they don't); session_s: the longest that one lasts.
    latency_budget_s: what `call` has for a whole request. Raises ValueError where the settings contradict each other.
    """

    def __init__(
        self,
        pipeline: str,
        *,
        definition: str | Path | None = None,
        relays: Sequence[str] = (),
        state: str | Path = ".rollcast/dataplane",
        telemetry: str | Path | None = None,
        warm: Warm | None = None,
        evaluate: Evaluate | None = None,
        trust: bool | Sequence[str] | None = None,
        pins: Pins | bool | None = True,
        session_s: float = 3600.0,
        latency_budget_s: float | None = None,
        traced: bool = True,
    ) -> None:
        if (definition is None) == (not relays):
            raise ValueError("Give the data plane either a definition file or relays, and not both.")
        folder = Path(state)
        source: Source
        if definition is not None:
            source, self._relays = FileSource(Path(definition)), []
        else:
            source = RelaySource(relays, os.environ.get("ROLLCAST_RELAY_TOKEN"))
            self._relays = source.relays
        self.pipeline = pipeline
        self.flags = Flags(pipeline, source, folder / f"{pipeline}.json")
        self.outcomes = OutcomeLog(Path(telemetry) if telemetry is not None else None)
        self.pins: Pins | None = FilePins(folder / "pins.db") if pins is True else (pins or None)
        self.session_s, self.latency_budget_s, self.traced = session_s, latency_budget_s, traced
        self.evaluate_hook = evaluate
        self.token = os.environ.get("ROLLCAST_ENDPOINT_TOKEN") or None
        self._warm_hook = warm
        self._trust = trust
        self._trusted: dict[str, bool] = {}
        self._begin()
        mine = weakref.WeakMethod(self._after_fork)
        os.register_at_fork(after_in_child=lambda: (found := mine()) and found())

    def _begin(self) -> None:
        """What is of this process alone."""
        self.replica = f"{uuid.uuid4().hex[:16]}"
        self.counts = ReleaseCounts()
        self._warm: dict[str, None] = {}
        self._background: Background | None = None
        self._starting = threading.Lock()

    def _after_fork(self) -> None:
        self._begin()
        self.flags.after_fork()

    # ---- the life of the process --------------------------------------------------------------

    def start(self) -> None:
        """Reads the definition and begins to watch it and to acknowledge. The first request does it too."""
        if self._background is not None:
            return
        with self._starting:
            if self._background is None:
                background = Background(self.flags, self._relays, self.state, self.make_warm, self._look_after)
                background.start()
                self._background = background
                atexit.register(self.stop)

    def stop(self) -> None:
        """Ends what runs beside the requests, and says goodbye to the relays."""
        atexit.unregister(self.stop)
        background, self._background = self._background, None
        if background is not None:
            background.stop()

    def _look_after(self) -> None:
        if self.outcomes.rotated():
            self.outcomes.reopen()

    def definition(self) -> Definition:
        """What is evaluated now. Raises NoRelease where nothing ever was."""
        if self._background is None:
            self.start()
        found = self.flags.current
        if found is None:
            raise NoRelease(f"There is no release of {self.pipeline} yet: {self.flags.degraded}. Apply one, or wait.")
        return found

    # ---- requests -----------------------------------------------------------------------------

    def open(
        self,
        header: str = "",
        baggage: str = "",
        caller: str | None = None,
        named: str | None = None,
        presented: str | None = None,
    ) -> ServedRequest:
        """A request that comes in with these headers from this address. `refusal` is set where it can't be served."""
        release: str | None = None
        others: Sequence[str] = ()
        refusal: Refused | None = None
        if header or baggage:
            try:
                release, others = incoming(header, baggage, self.trusts(caller))
            except UnknownRelease as error:
                refusal = error
        made = ServedRequest(self, named, others, presented)
        if release is not None:
            try:
                found = self.definition().known(release)
                if found is None:
                    raise UnknownRelease(
                        f"The caller gave release {release[:80]!r}, which is not among those of "
                        f"{flag_key(self.pipeline)} here. Ask another replica, or begin the request again.",
                        release[:256],
                    )
                made.carry(found)
            except Refused as error:
                refusal = error
        made.refusal = refusal
        return made

    @contextmanager
    def request(
        self,
        user: Any = None,
        session: Any = None,
        device: Any = None,
        attributes: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[ServedRequest]:
        """Serves one request without a middleware: a job, a message of a queue, a plain function. Raises Refused.

        `headers`: what came with it (a message's, say), trusted as `trust=True` says.
        """
        found = {name.lower(): value for name, value in headers.items()} if headers else {}
        made = self.open(found.get(HEADER, ""), found.get(BAGGAGE, ""), None, found.get("x-request-id"))
        token = CURRENT.set(made)
        error = True
        try:
            if made.refusal is not None:
                raise made.refusal
            made.resolve(user, session, device, attributes)
            yield made
            error = False
        finally:
            made.finish(error)
            CURRENT.reset(token)

    def resolve(
        self, user: Any = None, session: Any = None, device: Any = None, attributes: Mapping[str, Any] | None = None
    ) -> ServingRelease:
        """The release of the request that this code runs for. Raises Refused, which the middleware answers."""
        return self.current().resolve(user, session, device, attributes)

    def current(self) -> ServedRequest:
        """The request that this code runs for. Raises RuntimeError where there is none."""
        found = CURRENT.get()
        if found is None:
            raise RuntimeError("No request is open here: add the middleware, or use 'with plane.request(…)'.")
        return found

    def outcome(self, **fields: Any) -> None:
        """Adds to the outcome of the request that this code runs for."""
        self.current().outcome(**fields)

    def trusts(self, caller: str | None) -> bool:
        """Whether a caller at this address may give a release."""
        if not self._trust or self._trust is True:
            return bool(self._trust)
        known = self._trusted.get(caller or "")
        if known is None:
            import ipaddress

            try:
                address = ipaddress.ip_address(caller or "")
                networks = [ipaddress.ip_network(each, strict=False) for each in self._trust]
                known = any(address in network for network in networks)
            except ValueError:
                known = False
            if len(self._trusted) > 4096:
                self._trusted.clear()
            self._trusted[caller or ""] = known
        return known

    # ---- the control endpoint -----------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What this replica says of itself (spec A1)."""
        inflight, entered, finished = self.counts.read()
        current = self.flags.current
        refused = self._background.refused if self._background else None
        degraded = [text for text in (self.flags.degraded, refused, self.outcomes.failed) if text]
        return {
            "protocol": PROTOCOL,
            "kit": KIT,
            "replica": self.replica,
            "bucketing": BUCKETING,
            "definitions": {flag_key(self.pipeline): current.content if current else None},
            "releases": inflight,
            "entered": entered,
            "finished": finished,
            "warm": list(self._warm),
            "degraded": "; ".join(degraded) or False,
            "time": time.time(),
        }

    def make_warm(self, instance: str) -> None:
        """Returns when an instance is ready. Raises NoRelease, or whatever the hook raises, where it is not."""
        if self._warm_hook is not None and self._warm_hook(instance) is False:
            raise NoRelease(f"{instance} is not ready yet. Ask again.")
        self._warm[instance] = None
        while len(self._warm) > _MOST_WARM:
            self._warm.pop(next(iter(self._warm)), None)
