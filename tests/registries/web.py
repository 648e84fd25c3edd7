"""A real HTTP server on loopback that serves files with ranges, and misbehaves where a test sets it to."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Misbehaviour = Callable[["Handler", bytes], None]


class Handler(BaseHTTPRequestHandler):
    """One request. What a path misbehaves by takes the place of a file's ordinary answer."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer after the first waits 40 ms for an acknowledgement
    server: Web

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, self.headers.get("range", "")))
        body = self.server.files.get(self.path.partition("?")[0])
        if body is None:
            self.answer(404, b"not here")
            return
        wrong = self.server.misbehaving.get(self.path.partition("?")[0])
        if wrong is not None:
            wrong(self, body)
            return
        said = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", ""))
        if said is not None:
            begin, end = int(said[1]), int(said[2]) + 1 if said[2] else len(body)
            self.answer(206, body[begin:end], {"content-range": f"bytes {begin}-{end - 1}/{len(body)}"})
        else:
            self.answer(200, body)

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Web(ThreadingHTTPServer):
    """files: path -> content. misbehaving: path -> what it does instead. seen: (method, path, range) of requests."""

    daemon_threads = True
    handler: type[Handler] = Handler

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.handler)
        self.files: dict[str, bytes] = {}
        self.misbehaving: dict[str, Misbehaviour] = {}
        self.seen: list[tuple[str, str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Web:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *about: object) -> None:
        self.shutdown()
        self.server_close()


def truncated(handler: Handler, body: bytes) -> None:
    """States all of a file, and sends half."""
    handler.send_response(200)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def html(handler: Handler, body: bytes) -> None:
    """A login page."""
    handler.answer(200, b"<html>please log in</html>", {"content-type": "text/html"})


def swapped(handler: Handler, body: bytes) -> None:
    """Other content of equal length."""
    handler.answer(200, body[::-1])


def failing(handler: Handler, body: bytes) -> None:
    handler.answer(500, b"out of order")


def slow(handler: Handler, body: bytes) -> None:
    """One byte after the other, so that no single wait is long."""
    handler.send_response(200)
    handler.send_header("content-length", str(max(1000, len(body))))
    handler.end_headers()
    try:
        for _ in range(1000):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        handler.close_connection = True


def endless(handler: Handler, body: bytes) -> None:
    """Far more than was said."""
    if handler.command == "HEAD":
        handler.answer(200, body)
        return
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    try:
        for _ in range(200):
            handler.wfile.write(b"x" * 1_000_000)
    except OSError:
        pass


__all__ = ["Handler", "Web", "endless", "failing", "html", "slow", "swapped", "truncated"]
