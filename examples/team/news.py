"""A receiver of the team's notifications: checks every signature, prints what happens, and lets others wait for it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MOST_AGE_S = 300


def is_genuine(headers: Mapping[str, str], body: bytes, secret: str) -> bool:
    """Whether a delivery was signed with this key, some minutes ago at most."""
    ident, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "0")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{ident}.{at}.".encode() + body, hashlib.sha256).digest()
    wanted = "v1," + base64.b64encode(digest).decode()
    fresh = abs(time.time() - int(at)) <= MOST_AGE_S
    return fresh and hmac.compare_digest(wanted, headers.get("webhook-signature", ""))


@dataclass(frozen=True)
class Item:
    """One piece of news. `what` is the word of its event; `release` the one that it is about."""

    at_s: float
    environment: str
    what: str
    release: str
    text: str
    reason: str


@dataclass
class News:
    """All that came, in order; `refused` counts deliveries that nobody signed."""

    secret: str
    began_s: float = field(default_factory=time.monotonic)
    items: list[Item] = field(default_factory=list)
    refused: int = 0
    listeners: list[Callable[[Item], None]] = field(default_factory=list)
    url: str = ""
    _seen: set[str] = field(default_factory=set)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> News:
        take = self._take

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                taken = take({name.lower(): text for name, text in self.headers.items()}, body)
                self.send_response(204 if taken else 401)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        return self

    def __exit__(self, *about: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def await_item(self, wanted: Callable[[Item], bool], since: int, most_s: float) -> Item | None:
        """The first item of this kind after those that were there; None where none comes in time."""
        until_s = time.monotonic() + most_s
        with self._changed:
            while True:
                found = next((item for item in self.items[since:] if wanted(item)), None)
                left_s = until_s - time.monotonic()
                if found is not None or left_s <= 0:
                    return found
                self._changed.wait(left_s)

    def _take(self, headers: Mapping[str, str], body: bytes) -> bool:
        if not is_genuine(headers, body, self.secret):
            self.refused += 1
            return False
        event = json.loads(body)
        if event["id"] in self._seen:
            return True
        self._seen.add(event["id"])
        about, kind = event["data"]["customData"], event["type"].split(".")
        release = next(iter(about["releases"].values()), "")
        what = {"upgraded": "deployed"}.get(kind[3], kind[3])
        item = Item(
            time.monotonic() - self.began_s, event["source"].rsplit("/", 1)[-1], what, release, about["text"],
            about["reason"],
        )  # fmt: skip
        why = f" ({item.reason[:110]})" if what in ("held", "rolledback", "failed") and item.reason else ""
        print(f"  {item.at_s:6.1f} s  {item.environment:<10}  {what:<10}  {item.text}{why}", flush=True)
        with self._changed:
            self.items.append(item)
            self._changed.notify_all()
        for listener in self.listeners:
            threading.Thread(target=listener, args=(item,), daemon=True).start()
        return True
