"""WSGI: Flask, Django, and whatever else gunicorn serves.

    app.wsgi_app = WsgiMiddleware(app.wsgi_app, plane)

A request is open until its body is closed, which servers do after the last byte. WSGI has no start of a process: the
kit begins with the first request, or where a server's own hook calls `plane.start()` (gunicorn: `post_fork`).
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterable, Iterator
from contextvars import Token
from typing import Any

from rollcast_dataplane import control
from rollcast_dataplane.errors import Refused
from rollcast_dataplane.pins import COOKIE
from rollcast_dataplane.pins import HEADER as PIN
from rollcast_dataplane.plane import DataPlane
from rollcast_dataplane.propagation import HEADER, without_ours
from rollcast_dataplane.requests import CURRENT, ServedRequest

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class WsgiMiddleware:
    """Opens a request for each that comes in, and answers the control endpoint."""

    def __init__(self, app: App, plane: DataPlane) -> None:
        self.app, self.plane = app, plane

    def __call__(self, env: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = env.get("PATH_INFO", "")
        if path.startswith(control.PREFIX):
            return self._control(env, path, start_response)
        header, baggage = env.get("HTTP_X_ROLLCAST_RELEASE", ""), env.get("HTTP_BAGGAGE", "")
        caller = env.get("REMOTE_ADDR")
        if (header or baggage) and not self.plane.trusts(caller):
            env.pop("HTTP_X_ROLLCAST_RELEASE", None)
            if others := without_ours(env.pop("HTTP_BAGGAGE", "")):
                env["HTTP_BAGGAGE"] = others
        request = self.plane.open(
            header, baggage, caller, env.get("HTTP_X_REQUEST_ID", "")[:256] or None, _presented(env)
        )
        token = CURRENT.set(request)
        body = _Body(request, token, start_response)
        try:
            if request.refusal is not None:
                raise request.refusal
            body.of(self.app(env, body.start))
        except Refused as refusal:
            request.refusal = refusal
            body.refuse()
        except BaseException:
            body.failed = True
            body.close()
            raise
        return body

    def _control(self, env: Environ, path: str, start_response: StartResponse) -> list[bytes]:
        length = env.get("CONTENT_LENGTH") or "0"
        size = min(int(length), control.MOST_BYTES) if length.isdigit() else 0
        sent = env["wsgi.input"].read(size) if size else b""
        authorization = env.get("HTTP_AUTHORIZATION", "")
        status, found = control.answer(self.plane, env["REQUEST_METHOD"], path, authorization, sent)
        return [_json(start_response, status, found)]


class _Body:
    """What goes out for one request. Servers close it after the last byte, or when the client is gone."""

    def __init__(self, request: ServedRequest, token: Token[ServedRequest | None], start: StartResponse) -> None:
        self._request, self._token, self._start = request, token, start
        self._parts: Iterable[bytes] = ()
        self._status = ""
        self.failed = False
        self._whole = False

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        request = self._request
        self._status = status
        if request.refusal is not None and status >= "5":
            return lambda data: None  # a framework's own words for what we refused
        if request.release is not None:
            headers = [*headers, (HEADER, request.release.id)]
            if request.pin_token:
                headers.append((PIN, request.pin_token))
                headers.append(("Set-Cookie", f"{COOKIE}={request.pin_token}; Path=/; HttpOnly; SameSite=Lax"))
        self.failed = status >= "5"
        return self._start(status, headers, exc_info) if exc_info else self._start(status, headers)

    def of(self, parts: Iterable[bytes]) -> None:
        self._parts = parts
        if self._request.refusal is not None and self._status >= "5":
            self._close_parts()
            self.refuse()

    def refuse(self) -> None:
        refusal = self._request.refusal
        assert refusal is not None
        self._parts = [_json(self._start, refusal.status, self._request.refused())]

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._parts:
                if part:
                    self._request.byte()
                yield part
        except Refused as refusal:
            if self._status:
                raise
            self._request.refusal = refusal
            self.refuse()
            yield from self._parts
        except Exception:
            self.failed = True
            raise
        self._whole = True

    def close(self) -> None:
        try:
            self._close_parts()
        finally:
            if not self._whole and not self.failed:
                self._request.outcome(cancelled=True)
            self._request.finish(self.failed)
            try:
                CURRENT.reset(self._token)
            except ValueError:  # closed in another context than it was begun in
                CURRENT.set(None)

    def _close_parts(self) -> None:
        close = getattr(self._parts, "close", None)
        if close is not None:
            close()


def _json(start_response: StartResponse, status: int, value: Any) -> bytes:
    data = json.dumps(value).encode()
    reason = http.client.responses.get(status, "Unknown")
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(data)))]
    start_response(f"{status} {reason}", headers)
    return data


def _presented(env: Environ) -> str | None:
    found = env.get("HTTP_X_ROLLCAST_PIN")
    if found:
        return str(found)
    for part in env.get("HTTP_COOKIE", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE:
            return str(value)
    return None
