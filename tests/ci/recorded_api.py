"""Plays a code host's recorded answers back on loopback, in order, and keeps the requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).with_name("recorded")


@dataclass
class Api:
    """A running playback."""

    address: str
    exchanges: list[dict[str, Any]]
    requests: list[str] = field(default_factory=list)
    bodies: list[dict[str, str]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def answer(self, request: str) -> dict[str, Any]:
        """The next answer, where it is of this request."""
        self.requests.append(request)
        if self.exchanges and self.exchanges[0]["request"] == request:
            return self.exchanges.pop(0)
        return {"status": 599, "body": {"message": f"not recorded: {request}"}}


@contextmanager
def playing(name: str, mark: str) -> Iterator[Api]:
    """A server that answers as recorded, on a free port."""
    api = Api("", [])

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if length:
                api.bodies.append(json.loads(self.rfile.read(length)))
            api.tokens.add(self.headers.get("authorization") or self.headers.get("private-token") or "")
            found = api.answer(f"{self.command} {self.path}")
            body = json.dumps(found["body"]).encode()
            self.send_response(found["status"])
            for header, value in {**found.get("headers", {}), "content-length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = handle_any  # noqa: N815 - names of the standard library

        def log_message(self, *words: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.address = f"http://127.0.0.1:{server.server_address[1]}"
    text = (RECORDED / f"{name}.json").read_text("utf-8").replace("{mark}", mark).replace("{base}", api.address)
    api.exchanges = json.loads(text)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
