"""ASGI: FastAPI, Starlette, Django and whatever else uvicorn or hypercorn serves.

    app.add_middleware(AsgiMiddleware, plane=plane)

A request is open while the application runs for it, so a stream is in flight until its last byte, and work in the
background after the answer counts too. A request that never resolves is not counted and leaves no outcome.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from rollcast_dataplane import control
from rollcast_dataplane.errors import Refused
from rollcast_dataplane.pins import COOKIE
from rollcast_dataplane.pins import HEADER as PIN
from rollcast_dataplane.plane import DataPlane
from rollcast_dataplane.propagation import BAGGAGE, HEADER, without_ours
from rollcast_dataplane.requests import CURRENT, ServedRequest

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_BAGGAGE, _HEADER, _PIN = BAGGAGE.encode(), HEADER.encode(), PIN.encode()
_READ = frozenset((_BAGGAGE, _HEADER, _PIN, b"x-request-id", b"cookie"))


class AsgiMiddleware:
    """Opens a request for each that comes in, answers the control endpoint, and starts the kit with the process."""

    def __init__(self, app: App, plane: DataPlane) -> None:
        self.app, self.plane = app, plane

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(scope, receive, send)
        elif kind == "http" and scope["path"].startswith(control.PREFIX):
            await self._control(scope, receive, send)
        elif kind in ("http", "websocket"):
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        found = {name: value for name, value in scope["headers"] if name in _READ}
        client = scope.get("client")
        caller = client[0] if client else None
        if _BAGGAGE in found or _HEADER in found:
            found |= _joined(scope["headers"])
            if not self.plane.trusts(caller):
                scope = {**scope, "headers": _stripped(scope["headers"])}
        if self.plane.flags.current is None:
            await asyncio.to_thread(self.plane.start)
        request = self.plane.open(
            _text(found.get(_HEADER)),
            _text(found.get(_BAGGAGE)),
            caller,
            _text(found.get(b"x-request-id"))[:256] or None,
            _text(found.get(_PIN)) or _cookie(_text(found.get(b"cookie"))),
        )
        token = CURRENT.set(request)
        answer = _Answer(request, send)
        failed = True
        try:
            if request.refusal is not None:
                raise request.refusal
            await self.app(scope, receive, answer.send if scope["type"] == "http" else send)
            failed = answer.failed
        except Refused as refusal:
            request.refusal = refusal
            if answer.begun or scope["type"] != "http":
                raise
            await answer.refuse()
            failed = answer.failed
        finally:
            try:
                await answer.let_go()
            finally:
                if answer.status and not answer.whole and not failed:
                    request.outcome(cancelled=True)
                request.finish(failed)
                CURRENT.reset(token)

    async def _control(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        method, path, body = scope["method"], scope["path"], b""
        while method != "GET":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body") or len(body) > control.MOST_BYTES:
                break
        authorization = _text(dict(scope["headers"]).get(b"authorization"))
        call = (self.plane, method, path, authorization, body)
        if control.is_quick(method, path):
            status, found = control.answer(*call)
        else:
            status, found = await asyncio.to_thread(control.answer, *call)
        await _send_json(send, status, found)

    async def _live(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """The kit begins before the application, and has ended before the server hears that the application has."""

        async def ending(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await asyncio.to_thread(self.plane.stop)
            await send(message)

        await asyncio.to_thread(self.plane.start)
        await self.app(scope, receive, ending)


class _Answer:
    """What goes out for one request: its status, whether it ended, and the header that says what served (spec C7).

    An answer of 500 and above is held until the application has ended: a framework's own words for an exception go out
    before the exception comes here, and where that one is a refusal, ours are better.
    """

    def __init__(self, request: ServedRequest, send: Send) -> None:
        self._request, self._send = request, send
        self._held: list[Message] = []
        self._refused = False
        self.status = 0
        self.whole = False

    @property
    def failed(self) -> bool:
        return self.status >= 500

    @property
    def begun(self) -> bool:
        """Whether something went out already."""
        return bool(self.status) and not self._held

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.failed:
                self._held = [message]
                return
            await self._send(self._tagged(message))
            return
        if message["type"] == "http.response.body":
            self.whole = not message.get("more_body", False)
            if self._held and self.whole:
                self._held.append(message)
                return
            await self.let_go()
            if self._refused:
                return
            if message.get("body"):
                self._request.byte()
        await self._send(message)

    async def let_go(self) -> None:
        """What was held goes out."""
        held, self._held = self._held, []
        for message in held:
            if message["type"] == "http.response.start":
                if self._request.refusal is not None:
                    await self.refuse()
                    return
                message = self._tagged(message)
            await self._send(message)

    async def refuse(self) -> None:
        """The answer is that it is refused, and what was held is not."""
        refusal = self._request.refusal
        assert refusal is not None
        self._held, self._refused = [], True
        self.status, self.whole = refusal.status, True
        await _send_json(self._send, refusal.status, self._request.refused())

    def _tagged(self, message: Message) -> Message:
        request = self._request
        if request.release is None:
            return message
        headers = [*message.get("headers", ()), (_HEADER, request.release.id.encode("latin-1"))]
        if request.pin_token:
            headers.append((_PIN, request.pin_token.encode()))
            cookie = f"{COOKIE}={request.pin_token}; Path=/; HttpOnly; SameSite=Lax"
            headers.append((b"set-cookie", cookie.encode()))
        return {**message, "headers": headers}


async def _send_json(send: Send, status: int, value: Any) -> None:
    data = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _joined(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Baggage of several header lines is one list; of the release header it is, too, so that two never pass as one."""
    return {name: b",".join(value for each, value in headers if each == name) for name in (_BAGGAGE, _HEADER)}


def _stripped(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """What the application sees of an outsider's headers: no release that the outsider set (spec C4)."""
    kept = []
    for name, value in headers:
        if name == _BAGGAGE:
            value = without_ours(value.decode("latin-1")).encode("latin-1")
        if name != _HEADER and (value or name != _BAGGAGE):
            kept.append((name, value))
    return kept


def _text(value: bytes | None) -> str:
    return value.decode("latin-1") if value else ""


def _cookie(header: str) -> str | None:
    if COOKIE not in header:
        return None
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return value
    return None
