"""C: the release travels with the request, and only who is trusted can give one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.conformance.points import PointNotJudged, demand, point
from rollcast.stacks.conformance.resolving import writable
from rollcast.stacks.conformance.subject import TWIN, TestedService

_HEADER, _MEMBER = "x-rollcast-release", "rollcast.release"
_UNKNOWN = "rel-conformance-unknown"
_MOST_BAGGAGE = 8192


def _headers_of(release: str) -> tuple[dict[str, str], ...]:
    return ({_HEADER: release}, {"baggage": f"a=1,{_MEMBER}={release}"})


@point("C1", "both headers go with every call to another service")
def onward(subject: TestedService) -> str:
    writable(subject)
    if subject.probe.onward is None or subject.probe.onward.listen is None:
        raise PointNotJudged(
            "give the probe 'onward', a request that makes it call another service, and where to listen"
        )
    with _listening(subject.probe.onward.listen) as calls:
        for percent in (0, 100):
            subject.put(subject.flag(percent))
            calls.clear()
            seen = subject.ask(kind=subject.probe.onward)
            demand(calls, f"its call did not arrive at {subject.probe.onward.listen}")
            for call in calls:
                carried = _carried(call.get("baggage", ""))
                demand(
                    call.get(_HEADER) == seen.release and carried == [seen.release],
                    f"a request of {seen.release} calls on with {_HEADER} {call.get(_HEADER)!r} and baggage {carried}",
                )
    return "header and baggage name what serves"


@point("C2", "a release that a trusted caller gives is served, whatever the flag says")
def trusted(subject: TestedService) -> str:
    _needs_trust(subject)
    subject.put(subject.flag(0))
    for headers in _headers_of(TWIN):
        seen = subject.ask(headers=headers)
        demand(seen.status < 400, f"given {TWIN} in {next(iter(headers))}, it answers {seen.status}")
        demand(seen.release == TWIN, f"given {TWIN} in {next(iter(headers))}, it serves {seen.release}")
        if seen.body_release is not None:
            demand(seen.body_release == TWIN, f"given {TWIN}, its body was made by {seen.body_release}")
    return "by header, and by baggage"


@point("C3", "a release that it does not know is refused with 503")
def unknown(subject: TestedService) -> str:
    _needs_trust(subject)
    for headers in _headers_of(_UNKNOWN):
        seen = subject.ask(headers=headers)
        demand(seen.status == 503, f"given an unknown release, it answers {seen.status}")
        said = seen.data if isinstance(seen.data, dict) else {}
        demand(said.get("release") == _UNKNOWN and said.get("error"), "the 503 names no error, or not the release")
    return "503 with error and release"


@point("C4", "an outsider's release is ignored")
def outsider(subject: TestedService) -> str:
    writable(subject)
    if subject.probe.trusted:
        raise PointNotJudged("the service trusts this machine: check it from one that it does not")
    subject.put(subject.flag(0))
    for release in (TWIN, _UNKNOWN):
        for headers in _headers_of(release):
            seen = subject.ask(headers=headers)
            demand(
                seen.status < 400 and seen.release == subject.ours,
                f"an outsider who sets {next(iter(headers))} is served by {seen.release} (HTTP {seen.status})",
            )
    return "by header, and by baggage"


@point("C5", "two different releases in one request are refused")
def disagreeing(subject: TestedService) -> str:
    _needs_trust(subject)
    subject.put(subject.flag(0))
    for headers in (
        {_HEADER: TWIN, "baggage": f"{_MEMBER}={subject.ours}"},
        {"baggage": f"{_MEMBER}={subject.ours},{_MEMBER}={TWIN}"},
    ):
        status = subject.ask(headers=headers).status
        demand(status == 503, f"given two releases, it answers {status}")
    return "header against baggage, and baggage against itself"


@point("C6", "a full baggage never costs the release")
def full(subject: TestedService) -> str:
    writable(subject)
    request = subject.probe.onward
    if request is None or request.listen is None:
        raise PointNotJudged(
            "give the probe 'onward', a request that makes it call another service, and where to listen"
        )
    subject.put(subject.flag(0))
    members = ",".join(f"m{number:02}={'v' * 90}" for number in range(84))
    with _listening(request.listen) as calls:
        seen = subject.ask(kind=request, headers={"baggage": members})
        demand(calls, f"its call did not arrive at {request.listen}")
        sent = calls[-1].get("baggage", "")
    demand(_carried(sent) == [seen.release], "under a full baggage the release is lost on the way")
    demand(len(sent.encode()) <= _MOST_BAGGAGE, f"it sends a baggage of {len(sent.encode())} bytes")
    return f"{len(members)} bytes came in, {len(sent)} went on"


@point("C7", "answers say which release served", must=False)
def says(subject: TestedService) -> str:
    seen = subject.ask()
    demand(seen.headers.get(_HEADER), f"an answer has no header {_HEADER}")
    return _HEADER


def _needs_trust(subject: TestedService) -> None:
    writable(subject)
    if not subject.probe.trusted:
        raise PointNotJudged("say 'trusted: true' in the probe where the service trusts this machine")


def _carried(baggage: str) -> list[str]:
    parts = [part.partition(";")[0].partition("=") for part in baggage.split(",")]
    return [unquote(value.strip()) for name, _, value in parts if name.strip() == _MEMBER]


@contextmanager
def _listening(place: str) -> Iterator[list[dict[str, str]]]:
    """The headers of every call that arrives at HOST:PORT. Raises StackError where it is taken."""
    host, _, port = place.rpartition(":")
    calls: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            calls.append({name.lower(): value for name, value in self.headers.items()})
            data = json.dumps({}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: Any) -> None:
            return None

    try:
        server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler)
    except (OSError, ValueError) as error:
        raise StackError(f"'{place}' can't be listened at ({error}). Correct the probe's onward.listen.") from None
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield calls
    finally:
        server.shutdown()
        server.server_close()
