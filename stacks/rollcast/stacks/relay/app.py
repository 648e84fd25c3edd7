"""The HTTP side of a relay, as a plain ASGI application: thousands of replicas ask it each second.

Every body has a limit, every answer is JSON, and what is refused says why in `error`.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from rollcast.stacks.base.asgi import BodyRefused, Receive, Scope, Send, body_of
from rollcast.stacks.base.strict_json import strict_json
from rollcast.stacks.relay.access import Access
from rollcast.stacks.relay.flags import RelayedFlags
from rollcast.stacks.relay.replicas import RelayRefusal, Replicas
from rollcast.stacks.relay.states import PROTOCOL

LONGEST_BODY = 64 * 1024
LONGEST_WAIT_S = 60.0
_V1, _OFREP = "/rollcast/v1/", "/ofrep/v1/evaluate/flags"
_LONGEST_NAME = 300


@dataclass(frozen=True)
class Reply:
    """What goes out. `tag`: the ETag, where there is one."""

    status: int
    body: bytes
    tag: str = ""

    @classmethod
    def of(cls, status: int, body: Any) -> Reply:
        return cls(status, json.dumps(body).encode())


class RelayApp:
    """The application."""

    def __init__(self, flags: RelayedFlags, replicas: Replicas, access: Access) -> None:
        self._flags, self._replicas, self._access = flags, replicas, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            reply = await self._reply(scope, receive)
        except RelayRefusal as error:
            said = {"error": str(error)} | ({"protocol": PROTOCOL} if error.status == 426 else {})
            reply = Reply.of(error.status, said)
        except BodyRefused as error:
            reply = Reply.of(error.status, {"error": str(error)})
        headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache")]
        if reply.tag:
            headers.append((b"etag", reply.tag.encode()))
        if reply.status != 304:
            headers.append((b"content-length", b"%d" % len(reply.body)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        path, method = scope["path"], scope["method"]
        given = {name: value.decode("latin-1") for name, value in scope["headers"]}
        word, host = given.get(b"authorization", ""), given.get(b"host", "")
        if path.startswith(_OFREP) or (path.startswith(_V1) and path[len(_V1) :] == "flags"):
            self._refuse(self._access.allows_data_plane(word, host))
            if path.startswith(_OFREP):
                return self._ofrep(path, method, await body_of(receive, LONGEST_BODY), given.get(b"if-none-match", ""))
            return await self._definition(scope["query_string"], given.get(b"if-none-match", ""))
        if not path.startswith(_V1):
            raise RelayRefusal(404, "There is nothing here. A relay answers below /rollcast/v1/ and /ofrep/v1/.")
        match method, path[len(_V1) :].split("/", 1):
            case "POST", ["replicas", replica]:
                self._refuse(self._access.allows_data_plane(word, host))
                return Reply.of(200, self._replicas.acknowledge(replica, await body_of(receive, LONGEST_BODY)))
            case "DELETE", ["replicas", replica]:
                self._refuse(self._access.allows_driver(word, host))
                return Reply.of(200, {"forgotten": self._replicas.forget(replica)})
            case "GET", ["fleet"]:
                self._refuse(self._access.allows_driver(word, host))
                served = {"tag": self._flags.tag, "fault": self._flags.fault}
                return Reply(200, self._replicas.fleet(served))
            case "POST", ["warm"]:
                self._refuse(self._access.allows_driver(word, host))
                return self._warm(await body_of(receive, LONGEST_BODY))
            case "GET", ["health"]:
                return Reply.of(200 if self._flags.text else 503, {"serving": self._flags.text is not None})
        raise RelayRefusal(404, f"A relay has no {method} at this path.")

    @staticmethod
    def _refuse(allowed: bool) -> None:
        if not allowed:
            raise RelayRefusal(401, "The bearer token is absent or wrong for this path.")

    async def _definition(self, query: bytes, tag: str) -> Reply:
        """The definition as it is, or at most `wait_s` later where it is still what the reader has."""
        wait = parse_qs(query.decode("latin-1")).get("wait_s", ["0"])[0]
        try:
            wait_s = float(wait)
        except ValueError:
            wait_s = math.nan
        if not 0 <= wait_s < math.inf:
            raise RelayRefusal(400, "wait_s must be a number of seconds.")
        await self._flags.changed(tag, min(wait_s, LONGEST_WAIT_S))
        if self._flags.text is None:
            raise RelayRefusal(503, "There is no flag definition yet.")
        if tag == self._flags.tag:
            return Reply(304, b"", tag)
        return Reply(200, self._flags.text, self._flags.tag)

    def _ofrep(self, path: str, method: str, body: bytes, tag: str) -> Reply:
        if method != "POST":
            raise RelayRefusal(405, "OFREP evaluates by POST.")
        evaluation = self._flags.evaluation
        if evaluation is None:
            return Reply.of(503, {"errorDetails": "There is no flag definition yet."})
        key = path[len(_OFREP) :].removeprefix("/")
        try:
            request = strict_json(body or b"{}")
        except ValueError:
            wrong = {"errorCode": "PARSE_ERROR", "errorDetails": "The body is no JSON."}
            return Reply.of(400, {"key": key, **wrong} if key else wrong)
        if key:
            return Reply.of(*evaluation.one(key, request))
        reply = Reply.of(*evaluation.all(request))
        if reply.status != 200:
            return reply
        own = '"' + hashlib.sha256(reply.body).hexdigest() + '"'
        return Reply(304, b"", own) if tag == own else Reply(200, reply.body, own)

    def _warm(self, body: bytes) -> Reply:
        try:
            instance = strict_json(body)["instance"]
        except (ValueError, KeyError, TypeError):
            instance = None
        if not isinstance(instance, str) or not 0 < len(instance) <= _LONGEST_NAME:
            raise RelayRefusal(400, 'The body must be {"instance": …}.')
        self._replicas.want(instance)
        return Reply.of(200, {"warm": self._replicas.wanted()})
