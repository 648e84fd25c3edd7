"""The HTTP side of a controller: whether it lives, whether it follows, its metrics, and `POST /sync`.

Every body has a limit and a time by which it must be there; an answer says in `error` why something is refused.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Protocol

from rollcast.cli.following.access import SECRET, TOKEN, SyncAccess
from rollcast.cli.following.brakes import BrakeOrder
from rollcast.cli.following.exposition import CONTENT_TYPE
from rollcast.stacks.base.asgi import BodyRefused, Receive, Scope, Send, body_of

LONGEST_BODY = 1024 * 1024  # what a code host tells of a push may be long
BODY_S = 10.0


class Answering(Protocol):
    """What answers."""

    def alive(self) -> bool:
        """Whether it still goes round."""

    def ready(self) -> tuple[bool, str]:
        """Whether it follows its source, and in words why not."""

    def metrics(self) -> str:
        """Its metrics as text."""

    def hurry(self) -> None:
        """Looks at the source at once."""

    async def brake(self, order: BrakeOrder) -> list[dict[str, Any]]:
        """Pulls or releases the brake; what became of it in each environment that is meant."""


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    kind: str = "application/json"

    @classmethod
    def of(cls, status: int, body: Any) -> _Answer:
        return cls(status, json.dumps(body).encode())


class ControllerApp:
    """The application, as plain ASGI."""

    def __init__(self, subject: Answering, access: SyncAccess) -> None:
        self._subject, self._access = subject, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer = await self._answer(scope, receive)
        headers = [
            (b"content-type", answer.kind.encode()), (b"cache-control", b"no-store"),
            (b"content-length", b"%d" % len(answer.body)),
        ]  # fmt: skip
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        match scope["method"], scope["path"]:
            case "GET" | "HEAD", "/healthz":
                alive = self._subject.alive()
                return _Answer.of(200 if alive else 503, {"alive": alive})
            case "GET" | "HEAD", "/readyz":
                ready, why = self._subject.ready()
                return _Answer.of(200 if ready else 503, {"ready": ready, "reason": why})
            case "GET" | "HEAD", "/metrics":
                return _Answer(200, self._subject.metrics().encode(), CONTENT_TYPE)
            case "POST", "/sync":
                return await self._sync(scope, receive)
            case "POST", "/brake":
                return await self._brake(scope, receive)
            case _, "/healthz" | "/readyz" | "/metrics" | "/sync" | "/brake":
                return _Answer.of(405, {"error": "GET what is to be read, POST /sync and /brake."})
        return _Answer.of(404, {"error": "There are /healthz, /readyz, /metrics, POST /sync and POST /brake here."})

    async def _sync(self, scope: Scope, receive: Receive) -> _Answer:
        if not self._access.anybody:
            return _Answer.of(403, {"error": f"Nobody may ask. Set {TOKEN} or {SECRET} in the environment."})
        body = await _body_or_refusal(receive)
        if isinstance(body, _Answer):
            return body
        if not self._access.allows(_headers(scope), body):
            return _Answer.of(401, {"error": "The token or the signature is absent or wrong."})
        self._subject.hurry()
        return _Answer.of(202, {"looking": True})

    async def _brake(self, scope: Scope, receive: Receive) -> _Answer:
        if not self._access.token:
            return _Answer.of(403, {"error": f"Nobody may steer. Set {TOKEN} in the environment."})
        if not self._access.may_order(_headers(scope)):
            return _Answer.of(401, {"error": "The token is absent or wrong."})
        body = await _body_or_refusal(receive)
        if isinstance(body, _Answer):
            return body
        try:
            order = BrakeOrder.of(body)
        except ValueError as error:
            return _Answer.of(400, {"error": str(error)})
        done = await self._subject.brake(order)
        if not done:
            return _Answer.of(404, {"error": f"No environment '{order.environment}' is followed."})
        failed = any(one["error"] for one in done)
        return _Answer.of(503 if failed else 200, {"pulled": order.pulled, "environments": done})


async def _body_or_refusal(receive: Receive) -> bytes | _Answer:
    try:
        return await asyncio.wait_for(body_of(receive, LONGEST_BODY), BODY_S)
    except TimeoutError:
        return _Answer.of(408, {"error": f"The body was not there within {BODY_S:g} s."})
    except BodyRefused as error:
        return _Answer.of(error.status, {"error": str(error)})


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


__all__ = ["Answering", "ControllerApp"]
