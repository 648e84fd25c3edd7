"""The service under test: called through its front door and its control endpoint, under flags that are written for it.

Two releases are made of the one that serves: itself, and a twin with another id and other names of versions, but the
same instances. So any service can serve both, and an answer shows which one made it.

Long because what may be done to a service under test stands in one place.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from rollcast.planner.base.buckets import BUCKETING, TOTAL_WEIGHT, bucket_of, weight_of
from rollcast.planner.routing.split import PAUSED, flag_key
from rollcast.stacks.base import atomic_files
from rollcast.stacks.base.bounded_http import certificates_for
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.conformance.probe import Probe, ProbeRequest, filled, pointed
from rollcast.stacks.flags.definitions import CONTENT, content_digest
from rollcast.stacks.flags.flag_documents import definition_of

TWIN = "rel-conformance2"
_SALT = "rollcast-conformance/:"
_SETTLE_S = 15.0
_UNREPORTED_S = 3.0
_ANSWER_S = 60.0


@dataclass(frozen=True)
class Seen:
    """One answer, and what it shows of what served it."""

    status: int
    release: str | None
    body_release: str | None
    components: Mapping[str, str] | None
    data: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class TestedService:
    """A service at one or several addresses, each of one replica."""

    def __init__(self, urls: list[str], probe: Probe) -> None:
        """Raises StackError where its definition can't be read, or nothing serves in it."""
        self.urls, self.probe = urls, probe
        self.key = flag_key(probe.pipeline)
        token = os.environ.get("ROLLCAST_ENDPOINT_TOKEN")
        self.bearer = {"Authorization": f"Bearer {token}"} if token else {}
        fresh = httpx.Limits(max_keepalive_connections=0)
        settings: dict[str, Any] = {"timeout": _ANSWER_S, "trust_env": False, "limits": fresh}
        self.clients = [httpx.Client(base_url=url, verify=certificates_for(url), **settings) for url in urls]
        self._original = self._document = None
        if probe.definition is not None:
            self._original = _read(probe.definition)
            self._document = json.loads(self._original)
            self._variant = _serving(self._document, self.key, probe.definition)
        self._written: str | None = None

    # ---- flags --------------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether flags can be written for it."""
        return self._original is not None

    @property
    def ours(self) -> str:
        """The release that serves, among the two of the test."""
        return str(self._variant["release"])

    def components(self, release: str) -> dict[str, str]:
        """slot -> name@version that an answer or an outcome of this release shows."""
        parts = (self._variant if release == self.ours else self._twin())["components"]
        return {slot: str(part["artifact"]) for slot, part in parts.items()}

    def _twin(self) -> dict[str, Any]:
        made = deepcopy(self._variant)
        made["release"] = TWIN
        for slot, part in made["components"].items():
            part["artifact"] = f"{part['artifact']}~twin"
            part["cache"] = f"cache-conformance-{slot}"
        return made

    def flag(self, percent: float, only: bool = False, **more: Any) -> dict[str, Any]:
        """A flag with this share on the twin; `only`: the twin is not among the variants."""
        variants = {self.ours: self._variant, PAUSED: {"release": None, "paused": True}}
        rule: Any = PAUSED
        if not only:
            variants[TWIN] = self._twin()
            weight = weight_of(percent)
            shares = [[TWIN, weight], [self.ours, TOTAL_WEIGHT - weight]]
            rule = {"fractional": [{"cat": [_SALT, {"var": "targetingKey"}]}, *shares]}
        else:
            rule = {"if": [True, self.ours]}
        made = {"state": "ENABLED", "variants": variants, "defaultVariant": PAUSED, "targeting": rule, **more}
        made["metadata"] = {"rollcast_bucketing": BUCKETING, CONTENT: content_digest(made)}
        return made

    def expected(self, key: str, percent: float) -> str:
        """The release that serves a key under `flag(percent)`."""
        return TWIN if bucket_of(_SALT, key) < weight_of(percent) else self.ours

    def put(self, flag: Mapping[str, Any] | None, wait: bool = True) -> float:
        """Writes a flag, and waits until every replica says that it evaluates it. Seconds that took."""
        assert self._document is not None
        document = deepcopy(self._document)
        document["flags"].pop(self.key, None)
        if flag is not None:
            document["flags"][self.key] = flag
        self.write(json.dumps(document))
        return self.settle(flag["metadata"][CONTENT]) if wait and flag is not None else 0.0

    def write(self, text: str) -> None:
        """The file that the service reads, whole."""
        assert self.probe.definition is not None
        atomic_files.write(self.probe.definition, text)
        self._written = text

    def settle(self, content: str) -> float:
        """Waits until every replica evaluates this content. Raises StackError."""
        began = time.monotonic()
        while True:
            states = [state.get("definitions") for state in self.states()]
            if None in states:
                time.sleep(_UNREPORTED_S)
                return time.monotonic() - began
            if all(isinstance(each, dict) and each.get(self.key) == content for each in states):
                return time.monotonic() - began
            if time.monotonic() - began > _SETTLE_S:
                raise StackError(f"not every replica evaluates a new definition within {_SETTLE_S:.0f} s (D4)")
            time.sleep(0.02)

    def begin(self) -> None:
        """The definition is as it was, and nothing is in flight, as far as the service says so."""
        self.restore()

    def restore(self) -> None:
        """Puts the definition back as it was before the test."""
        if self._original is not None and self._written not in (None, self._original):
            self.write(self._original)
            flag = (self._document or {})["flags"][self.key]
            self.settle(content_digest(flag))

    def abandon(self) -> None:
        """Puts the file back, whatever the service does, and lets go of its connections."""
        if self._original is not None and self._written not in (None, self._original):
            self.write(self._original)
        for client in self.clients:
            client.close()

    # ---- asking -------------------------------------------------------------------------------

    def ask(
        self, key: Any = None, kind: ProbeRequest | None = None, at: int = 0, headers: Mapping[str, str] | None = None,
        session: str = "", unique: str = "",
    ) -> Seen:  # fmt: skip
        """One request, and what its answer shows."""
        request = kind or self.probe.request
        values = self.values(key, session, unique)
        reply = self.clients[at % len(self.clients)].request(
            request.method, filled(request.path, values), content=_body(request, values),
            headers={"content-type": "application/json", **filled(request.headers, values), **(headers or {})},
        )  # fmt: skip
        return self.seen(reply)

    @staticmethod
    def values(key: Any = None, session: str = "", unique: str = "") -> dict[str, Any]:
        """What is put into a request."""
        name = uuid.uuid4().hex
        return {
            "key": f"conformance-{name}" if key is None else key,
            "session": session or f"conformance-{name}",
            "unique": unique or name,
        }

    def seen(self, reply: httpx.Response) -> Seen:
        """What an answer shows."""
        try:
            data = reply.json()
        except ValueError:
            data = None
        where = self.probe.answer
        components = pointed(data, where.components) if where.components else None
        body_release = pointed(data, where.body_release) if where.body_release else None
        return Seen(
            reply.status_code, self._release(reply, data), body_release,
            components if isinstance(components, dict) else None, data, dict(reply.headers),
        )  # fmt: skip

    def _release(self, reply: httpx.Response, data: Any) -> str | None:
        place = self.probe.answer.release
        found = reply.headers.get(place[7:]) if place.startswith("header:") else pointed(data, place)
        return found if isinstance(found, str) else None

    @contextmanager
    def streaming(self, key: str, at: int = 0) -> Iterator[httpx.Response]:
        """A stream that is open."""
        request = self.probe.stream
        assert request is not None
        values = self.values(key)
        with self.clients[at].stream(
            request.method, filled(request.path, values), content=_body(request, values),
            headers={"content-type": "application/json", **filled(request.headers, values)},
        ) as reply:  # fmt: skip
            yield reply

    # ---- what it says of itself ---------------------------------------------------------------

    def states(self) -> list[dict[str, Any]]:
        """What every replica says of itself, as it stands. Raises StackError."""
        return [self._state(at) for at in range(len(self.urls))]

    def _state(self, at: int) -> dict[str, Any]:
        reply = self.clients[at].get("/rollcast/inflight", headers=self.bearer)
        try:
            data = reply.json() if reply.status_code == 200 else None
        except ValueError:
            data = None
        if not isinstance(data, dict):
            raise StackError(f"GET {self.urls[at]}/rollcast/inflight answers {reply.status_code}, and no state (A)")
        return data

    def control(self, path: str, body: Mapping[str, Any], at: int = 0) -> httpx.Response:
        """A request to the control endpoint of one replica."""
        return self.clients[at].post(f"/rollcast/{path}", json=body, headers=self.bearer)

    def inflight(self, release: str | None = None) -> int:
        """Requests in flight on a release, or on all of them, on all replicas."""
        return self.counted("releases", release)

    def counted(self, which: str, release: str | None = None) -> int:
        """The sum of one counter over all replicas, of a release or of all. Raises StackError where it is none."""
        total = 0
        for state in self.states():
            counts = state.get(which)
            if not isinstance(counts, dict) or not all(isinstance(each, int) for each in counts.values()):
                raise StackError(f"/rollcast/inflight has no '{which}' that is a map of counts (A1)")
            total += sum(count for name, count in counts.items() if release in (None, name))
        return total


def until(holds: Callable[[], object], seconds: float) -> bool:
    """Whether it comes to hold within that time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _body(request: ProbeRequest, values: Mapping[str, Any]) -> bytes | None:
    return None if request.body is None else json.dumps(filled(request.body, dict(values))).encode()


def _read(path: Path) -> str:
    try:
        text = path.read_text("utf-8")
        definition_of(text)
    except (OSError, ValueError) as error:
        raise StackError(
            f"{path} can't be read as a flag definition ({error}). Correct the probe's definition."
        ) from None
    return text


def _serving(document: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    variants = (document["flags"].get(key) or {}).get("variants") or {}
    for variant in variants.values():
        if isinstance(variant, dict) and variant.get("release") and variant.get("components"):
            return deepcopy(variant)
    raise StackError(f"{path} holds no release of {key}. Apply a first release, then check the service that serves it.")
