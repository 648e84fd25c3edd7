"""A real receiver of webhooks: an HTTP server of this process that answers as a test says, and keeps what it took."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Delivery:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Webhook:
    """What was delivered, and how the next ones are answered: a status, or 'hang', or 'drip'."""

    url: str = ""
    answer: Callable[[Delivery], int | str] = lambda delivery: 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    tried: list[Delivery] = field(default_factory=list)
    taken: list[Delivery] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def types(self) -> list[str]:
        """The types of the events that were taken, without CDEvents' own words around them."""
        kinds = [delivery.json["type"] for delivery in self.taken]
        return [".".join(kind.split(".")[2:4]) for kind in kinds]

    def await_taken(self, count: int, timeout_s: float = 20.0) -> None:
        until = time.monotonic() + timeout_s
        while len(self.taken) < count and time.monotonic() < until:
            time.sleep(0.02)
        assert len(self.taken) >= count, self.tried


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A receiver at a free port of this machine, until the block ends."""
    found = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            delivery = Delivery(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            found.tried.append(delivery)
            answer = found.answer(delivery)
            with suppress(OSError):
                if answer == "hang":
                    found.over.wait(30)
                elif answer == "drip":
                    for piece in b"HTTP/1.1 200 OK\r\nx-endless: " + b"." * 400:
                        self.wfile.write(bytes([piece]))
                        if found.over.wait(0.1):
                            return
                else:
                    assert isinstance(answer, int)
                    if 200 <= answer < 300:
                        found.taken.append(delivery)
                    self.send_response(answer)
                    for name, text in found.headers.items():
                        self.send_header(name, text)
                    self.send_header("content-length", str(len(found.body)))
                    self.end_headers()
                    self.wfile.write(found.body)

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield found
    finally:
        found.over.set()
        server.shutdown()
        server.server_close()
