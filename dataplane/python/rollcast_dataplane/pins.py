"""Sessions keep the release that they began with, on every replica, for as long as is declared and no longer (spec P).

Three kinds; anything else with the same two methods does as well (a table in Redis, say).

- `FilePins`: an SQLite file that all processes of a machine share. The default.
- `SignedPins`: a token that travels with the client (response header `x-rollcast-pin`, or a cookie), signed and bound
  to the session: any number of machines, nothing stored. It needs one secret on all of them, and a client that returns
  it.
- `MemoryPins`: one process; enough where a proxy sends a session to the same process each time.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import sqlite3

HEADER, COOKIE = "x-rollcast-pin", "rollcast_pin"
MOST = 1_000_000
_SWEEP = 1000


class Pin(NamedTuple):
    """What a session began with. `token`: what the client is to bring next time, if anything."""

    release: str
    channel: str
    token: str | None = None


class Pins(Protocol):
    """Where pins are. `presented`: the token that the client brought."""

    def find(self, session: str, presented: str | None) -> Pin | None:
        """The pin of a session, if it has one that is not over."""

    def keep(self, session: str, pin: Pin, session_s: float, instead_of: Pin | None) -> Pin:
        """Pins a session that has none, or only `instead_of`. What holds then: of two that begin at once, the first."""


class MemoryPins:
    """Pins of one process, at most `most`: the oldest goes first."""

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._pins: OrderedDict[str, tuple[float, Pin]] = OrderedDict()

    def find(self, session: str, presented: str | None) -> Pin | None:
        until, pin = self._pins.get(session, (0.0, None))
        return pin if until > time.time() else None

    def keep(self, session: str, pin: Pin, session_s: float, instead_of: Pin | None) -> Pin:
        with self._lock:
            held = self.find(session, None)
            if held is not None and held != instead_of:
                return held
            self._pins[session] = (time.time() + session_s, pin)
            self._pins.move_to_end(session)
            if len(self._pins) > self._most:
                self._pins.popitem(last=False)
            return pin


class SignedPins:
    """Pins that clients carry. Nobody without the secret can make one, or move one to another session."""

    def __init__(self, secret: str | None = None) -> None:
        """`secret`: the same on all replicas; ROLLCAST_PIN_SECRET where none is given. Raises ValueError."""
        found = secret or os.environ.get("ROLLCAST_PIN_SECRET")
        if not found or len(found) < 16:
            raise ValueError(
                "SignedPins needs a secret of 16 characters or more: set ROLLCAST_PIN_SECRET on all replicas."
            )
        self._secret = found.encode()

    def find(self, session: str, presented: str | None) -> Pin | None:
        if not presented or len(presented) > 1024:
            return None
        text, _, signature = presented.rpartition(".")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(session, text).encode()):
            return None
        try:
            until, release, channel = base64.urlsafe_b64decode(text).decode().split(" ")
        except ValueError:
            return None
        return Pin(release, channel, presented) if float(until) > time.time() else None

    def keep(self, session: str, pin: Pin, session_s: float, instead_of: Pin | None) -> Pin:
        content = f"{time.time() + session_s:.0f} {pin.release} {pin.channel}"
        text = base64.urlsafe_b64encode(content.encode()).decode()
        return Pin(pin.release, pin.channel, f"{text}.{self._signature(session, text)}")

    def _signature(self, session: str, text: str) -> str:
        said = f"{text}\n{session}".encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(hmac.digest(self._secret, said, hashlib.sha256)[:18]).decode()


class FilePins:
    """Pins in an SQLite file, shared by the processes of one machine (or of a volume that SQLite can lock)."""

    def __init__(self, path: Path | str, most: int = MOST) -> None:
        self._path, self._most = Path(path), most
        self._local = threading.local()
        self._puts = 0

    def _database(self) -> sqlite3.Connection:
        """One connection for each thread of each process: none survives a fork."""
        if getattr(self._local, "process", None) != os.getpid():
            import sqlite3

            self._path.parent.mkdir(parents=True, exist_ok=True)
            database = sqlite3.connect(self._path, timeout=5.0, isolation_level=None)
            database.execute("pragma journal_mode=wal")
            database.execute("pragma synchronous=off")  # after a power cut a session may be resolved again, no more
            database.execute(
                "create table if not exists pins (session text primary key, release text, channel text, until real)"
            )
            database.execute("create index if not exists pins_until on pins (until)")
            self._local.database, self._local.process = database, os.getpid()
        found: sqlite3.Connection = self._local.database
        return found

    def find(self, session: str, presented: str | None) -> Pin | None:
        query = "select release, channel from pins where session = ? and until > ?"
        row = self._database().execute(query, (session, time.time())).fetchone()
        return Pin(*row) if row else None

    def keep(self, session: str, pin: Pin, session_s: float, instead_of: Pin | None) -> Pin:
        database, now = self._database(), time.time()
        gone = instead_of.release if instead_of else None
        row = database.execute(
            "insert into pins values (?, ?, ?, ?) on conflict (session) do update set release = excluded.release, "
            "channel = excluded.channel, until = excluded.until where until <= ? or release = ? "
            "returning release, channel",
            (session, pin.release, pin.channel, now + session_s, now, gone),
        ).fetchone()
        self._puts += 1
        if self._puts % _SWEEP == 0:
            self._sweep(database, now)
        if row is None:
            row = database.execute("select release, channel from pins where session = ?", (session,)).fetchone()
        return Pin(*row) if row else pin

    def _sweep(self, database: sqlite3.Connection, now: float) -> None:
        database.execute("delete from pins where until <= ?", (now,))
        (count,) = database.execute("select count(*) from pins").fetchone()
        if count > self._most:
            oldest = "delete from pins where session in (select session from pins order by until limit ?)"
            database.execute(oldest, (count - self._most,))
