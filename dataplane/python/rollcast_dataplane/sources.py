"""Where definitions come from: a file on this machine, or relays. Both only read text; whether it is any good is judged
elsewhere.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rollcast_dataplane.errors import SourceGone

PROTOCOL = 1
POLL_S = 0.2
LONG_POLL_S = 20.0
_ANSWER_S = 3.0
_AGAIN_S = 1.0


class Source(Protocol):
    """Gives the text of definitions. `wait_s`: how long `read` may wait for a change."""

    def read(self, wait_s: float) -> str | None:
        """The text, or None where it is what it was at the last read. Raises SourceGone."""

    def pause_s(self, failed: bool) -> float:
        """Seconds to rest before the next read."""

    def forget(self) -> None:
        """The next read gives the text, whether or not it changed."""


class FileSource:
    """A definition file, looked at five times a second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self, wait_s: float) -> str | None:
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if seen == self._seen:
                return None
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            self._seen = None
            raise SourceGone(f"{self.path} is not there") from None
        except (OSError, UnicodeDecodeError) as error:
            self._seen = None
            raise SourceGone(f"{self.path} can't be read ({getattr(error, 'strerror', None) or 'no UTF-8'})") from None
        self._seen = seen
        return text

    def pause_s(self, failed: bool) -> float:
        return POLL_S

    def forget(self) -> None:
        self._seen = None


class RelaySource:
    """The first relay that answers, called again as soon as it has: it holds its answer until something changes."""

    def __init__(self, urls: Sequence[str], token: str | None) -> None:
        self.relays = [Relay(url, token) for url in urls]
        self._tag: str | None = None
        self._from: Relay | None = None

    def read(self, wait_s: float) -> str | None:
        failures = []
        for relay in sorted(self.relays, key=lambda each: each is not self._from):
            tag = self._tag if relay is self._from else None
            try:
                status, headers, text = relay.ask(
                    "GET", f"/rollcast/v1/flags?wait_s={wait_s if tag else 0:g}", None,
                    {"If-None-Match": tag} if tag else {}, _ANSWER_S + (wait_s if tag else 0),
                )  # fmt: skip
            except SourceGone as error:
                failures.append(str(error))
                continue
            if status == 304:
                return None
            if status == 200:
                self._from, self._tag = relay, headers.get("etag")
                return text
            failures.append(f"relay {relay.url} answers {status}{_named(text)}")
        self._from = self._tag = None
        raise SourceGone("; ".join(failures) or "there is no relay")

    def pause_s(self, failed: bool) -> float:
        return _AGAIN_S if failed else (0.0 if self._tag else _AGAIN_S)

    def forget(self) -> None:
        self._from = self._tag = None


class Relay:
    """One relay, by plain HTTP. No proxy of the environment is between."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url.rstrip("/")
        self._token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str], timeout_s: float
    ) -> tuple[int, dict[str, str], str]:
        """(status, headers, text). Raises SourceGone where nothing answers."""
        sent = {"Accept": "application/json", **headers}
        data = None
        if body is not None:
            data, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
        if self._token:
            sent["Authorization"] = f"Bearer {self._token}"
        try:
            request = urllib.request.Request(self.url + path, data, sent, method=method)
            with self._opener.open(request, timeout=timeout_s) as reply:
                return reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read().decode("utf-8")
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode("utf-8", "replace")
            return error.code, {k.lower(): v for k, v in error.headers.items()}, text
        except (OSError, ValueError) as error:
            raise SourceGone(f"relay {self.url} does not answer ({getattr(error, 'reason', error)})") from None


def _named(text: str) -> str:
    """What a refusal says of itself."""
    try:
        said = json.loads(text)
        return f" ({str(said['error'])[:200]})" if "error" in said else ""
    except (ValueError, TypeError, KeyError):
        return ""


def nap(stopping: threading.Event, seconds: float) -> bool:
    """Rests. Whether it is over for good."""
    return stopping.wait(seconds) if seconds else stopping.is_set()
