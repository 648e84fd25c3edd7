"""A relay's HTTP side as the specification says, for tests of the kit alone: flags by long poll, acknowledgements."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from rollcast.stacks.flags.definitions import CONTENT
from tests.dataplane.releasing import FLAG, NEW, OLD, both, text_of
from tests.dataplane.running import Running, until
from tests.spec.test_schemas import validator
from tests.stacks.site import free_port


class Relaying:
    """What a relay gives, and what it was told. `protocol`: the newest that it speaks."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.text, self.protocol, self.token = "", 1, ""
        self.wanted: list[str] = []
        self.heard: list[dict[str, Any]] = []
        self.asked: list[tuple[str, float]] = []
        self.changed = threading.Condition()

    def put(self, text: str) -> None:
        with self.changed:
            self.text = text
            self.changed.notify_all()

    @property
    def tag(self) -> str:
        return f'"{hash(self.text)}"'

    def last(self) -> dict[str, Any]:
        return self.heard[-1] if self.heard else {}


@contextmanager
def relaying(relay: Relaying | None = None) -> Iterator[Relaying]:
    """Answers until the block ends; the same one can begin again at its port."""
    made = relay or Relaying()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: str, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def _refused(self) -> bool:
            wrong = bool(made.token) and self.headers.get("authorization") != f"Bearer {made.token}"
            if wrong:
                self._answer(401, '{"error": "no token"}')
            return wrong

        def do_GET(self) -> None:
            if self._refused():
                return
            path, _, query = self.path.partition("?")
            assert path == "/rollcast/v1/flags"
            wait_s = float(query.partition("wait_s=")[2] or 0)
            made.asked.append((self.headers.get("if-none-match") or "", time.time()))
            with made.changed:
                if self.headers.get("if-none-match") == made.tag:
                    made.changed.wait(wait_s)
                same = self.headers.get("if-none-match") == made.tag
                text, tag = made.text, made.tag
            self._answer(304, "") if same else self._answer(200, text, ETag=tag)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self._refused():
                return
            assert self.path == f"/rollcast/v1/replicas/{body['replica']}"
            assert not list(validator("acknowledgement").iter_errors(body))
            if body["protocol"] > made.protocol:
                self._answer(426, json.dumps({"error": "older", "protocol": made.protocol}))
                return
            made.heard.append(body)
            self._answer(200, json.dumps({"protocol": 1, "warm": made.wanted, "interval_s": 0.2, "more": 1}))

        def log_message(self, format: str, *args: Any) -> None:
            return None

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            return None  # a client that went away

    server = Server(("127.0.0.1", made.port), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        with made.changed:
            made.changed.notify_all()


def change_is_heard(service: Running, first: Relaying, second: Relaying) -> None:
    """A request, then another definition at both relays: both hear of each, of one replica, and at once."""
    assert service.post("/chat", {"user": "ann"}).json()["release"] == OLD.id
    replica = service.state()["replica"]
    until(lambda: all(relay.last().get("finished") == {OLD.id: 1} for relay in (first, second)))
    made = both(100)
    for relay in (first, second):
        relay.put(text_of(made))
    content = made["metadata"][CONTENT]
    assert until(lambda: all(r.last()["definitions"] == {FLAG: content} for r in (first, second))) < 2.0
    assert service.post("/chat", {"user": "ann"}).json()["release"] == NEW.id
    assert {heard["replica"] for relay in (first, second) for heard in relay.heard} == {replica}
