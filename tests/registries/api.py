"""A real HTTP server on loopback that answers as some registry's API does, and misbehaves where it is told to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.registries.web import Handler, Web


@dataclass(frozen=True)
class Asked:
    """One request. path: decoded. authorization: the header, as it came."""

    method: str
    path: str
    query: dict[str, str]
    authorization: str


@dataclass(frozen=True)
class Reply:
    """What is answered to it."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def said(value: Any, status: int = 200, **headers: str) -> Reply:
    """JSON."""
    written = {"content-type": "application/json", **{name.replace("_", "-"): each for name, each in headers.items()}}
    return Reply(status, json.dumps(value).encode(), written)


class ApiHandler(Handler):
    """A request is answered by its server's `reply`; what a path misbehaves by takes the place of that."""

    server: ApiServer

    def do_GET(self) -> None:  # noqa: N802
        path, _, query = self.path.partition("?")
        asked = Asked(self.command, unquote(path), dict(parse_qsl(query)), self.headers.get("authorization", ""))
        self.server.seen.append((self.command, self.path, self.headers.get("range", "")))
        self.server.asked.append(asked)
        reply = self.server.reply(asked)
        wrong = self.server.misbehaving.get(asked.path)
        if wrong is not None:
            wrong(self, reply.body)
            return
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if part is not None and reply.status == 200:
            begin, end = int(part[1]), int(part[2]) + 1 if part[2] else len(reply.body)
            about = {**reply.headers, "content-range": f"bytes {begin}-{end - 1}/{len(reply.body)}"}
            self.answer(206, reply.body[begin:end], about)
        else:
            self.answer(reply.status, reply.body, reply.headers)

    do_HEAD = do_GET  # noqa: N815


class ApiServer(Web):
    """asked: all requests so far."""

    handler = ApiHandler

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []

    def reply(self, asked: Asked) -> Reply:
        """The answer to a request: here, the files that were put."""
        body = self.files.get(asked.path)
        return Reply(404, b"not here") if body is None else Reply(200, body)


__all__ = ["ApiHandler", "ApiServer", "Asked", "Reply", "said"]
