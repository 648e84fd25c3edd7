"""How content of an artifact reaches the disk: in bounded memory, counted, held against its digest, resumable.

One `Transfer` is the fetch of one artifact. Every byte that a registry writes goes through it, so that the limits hold
for all kinds of registry alike, a third party's included.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import httpx

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.limits import Limits, readable

Progress = Callable[[int, int | None], None]  # bytes that are here, bytes in all where that is known
CHUNK = 1024 * 1024
_TRIES = 5  # that bring nothing, one after the other
_PAUSE_S = 0.5


class Transfer:
    """The fetch of one artifact. `what` names it in messages; `kept`: a folder for what was broken off.

    expected: bytes in all, where the pin says so; more than that is refused.
    """

    def __init__(
        self,
        what: str,
        kept: Path,
        limits: Limits | None = None,
        *,
        expected: int | None = None,
        progress: Progress = lambda done, total: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.what, self.kept, self.expected = what, kept, expected
        self.limits = limits or Limits.from_environment()
        self._progress, self._stopped = progress, stopped
        self._bytes = self._unpacked = self._files = 0

    # ---- what counts --------------------------------------------------------------------------

    def room_for(self, count: int) -> None:
        """Counts bytes that are about to be written. Raises StackError when they are too many, or on a cancellation."""
        if self._stopped():
            raise StackError(f"{self.what}: its fetch was cancelled. Run the command again: it goes on from here.")
        self._bytes += count
        if self.expected is not None and self._bytes > self.expected:
            raise StackError(
                f"{self.what}: more than the {readable(self.expected)} that its registry stated. "
                "Nothing of it is kept. See who changed it there."
            )
        self._require_room()
        self._progress(self._bytes, self.expected)

    def room_for_unpacked(self, count: int) -> None:
        """Counts bytes that come out of an archive, which its registry does not state. Raises StackError."""
        self._unpacked += count
        self._require_room()

    def _require_room(self) -> None:
        if self._bytes + self._unpacked > self.limits.bytes:
            raise StackError(
                f"{self.what}: more than {readable(self.limits.bytes)}. Set ROLLCAST_MAX_BYTES if that is meant."
            )

    def place_for(self, into: Path, name: str) -> Path:
        """Where a file of this name goes, its folder made. Raises StackError: a name that leads out, too many files."""
        if leads_out(name):
            raise StackError(
                f"{self.what}: it holds '{name}', a path that leads out of its folder. Make it again without."
            )
        self._files += 1
        if self._files > self.limits.files:
            raise StackError(
                f"{self.what}: more than {self.limits.files:,} files. Set ROLLCAST_MAX_FILES if that is meant."
            )
        path = into.joinpath(*PurePosixPath(name).parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise StackError(
                f"{self.what}: '{name}' lies below what is a file itself. Make it again without."
            ) from None
        if path.is_dir():
            raise StackError(f"{self.what}: '{name}' is a folder and a file in one. Make it again without.")
        return path

    # ---- writing ------------------------------------------------------------------------------

    def write(self, path: Path, chunks: Iterable[bytes], *, sha256: str = "") -> None:
        """A file from what arrives, held against its digest (hex) where one is given. Raises StackError."""
        found = hashlib.sha256()
        try:
            with path.open("wb") as file:
                for chunk in chunks:
                    self.room_for(len(chunk))
                    found.update(chunk)
                    file.write(chunk)
        except OSError as error:
            raise StackError(f"{self.what}: {_reason(error)}. Make room, or correct the cache's folder.") from None
        self._require(path.name, found.hexdigest(), sha256)

    def download(
        self, client: httpx.Client, url: str, path: Path, *, sha256: str = "", size: int | None = None
    ) -> None:
        """A file by HTTP. Goes on where an earlier download was broken off, when its digest is known.

        Raises StackError: unreachable, refused, cut short, longer than said, or with another digest.
        """

        def rest(at: int) -> Iterator[bytes]:
            try:
                yield from self._rest(client, url, at, size)
            except httpx.TransportError as error:
                raise Interrupted(_reason(error)) from None

        self.collect(path, rest, _host(url), sha256=sha256, size=size)

    def collect(
        self, path: Path, rest: Callable[[int], Iterable[bytes]], host: str, *,
        key: str = "", sha256: str = "", size: int | None = None,
    ) -> None:  # fmt: skip
        """A file from what `rest` gives from an offset on; called again from where it raised Interrupted.

        key: names what is fetched where no digest does, and never anything else: what an earlier fetch kept of it is
        gone on with. Raises StackError as `download` does.
        """
        self.kept.mkdir(parents=True, exist_ok=True)
        part = self.kept / f"{sha256 or hashlib.sha256((key or str(path)).encode()).hexdigest()}.part"
        if not sha256 and not key:
            part.unlink(missing_ok=True)
        at, found = _begun(part)
        self.room_for(at)
        kept, barren = at, 0
        while True:
            before = at
            try:
                with part.open("ab") as file:
                    for chunk in rest(at):
                        if size is not None and at + len(chunk) > size:
                            part.unlink(missing_ok=True)
                            raise StackError(
                                f"{self.what}: {path.name} has more than the {readable(size)} that were stated. "
                                "Nothing of it is kept. See who changed it there."
                            )
                        self.room_for(len(chunk))
                        found.update(chunk)
                        file.write(chunk)
                        at += len(chunk)
            except Interrupted as error:
                barren = 0 if at > before else barren + 1
                if barren >= _TRIES:
                    raise StackError(
                        f"{self.what}: {host} broke off after {readable(at)} ({error}). "
                        "Run the command again: it goes on from here."
                    ) from None
                time.sleep(_PAUSE_S * barren)
                continue
            except OSError as error:
                raise StackError(f"{self.what}: {_reason(error)}. Make room, or correct the cache's folder.") from None
            break
        if sha256 and found.hexdigest() != sha256:
            part.unlink(missing_ok=True)
            if kept:  # what an earlier fetch left may be what is wrong, such as a login page
                self._bytes -= at
                return self.collect(path, rest, host, sha256=sha256, size=size)
        self._require(path.name, found.hexdigest(), sha256)
        _place(part, path, keep=size is not None and at == size)
        return None

    def _rest(self, client: httpx.Client, url: str, at: int, size: int | None) -> Iterable[bytes]:
        """What is still missing of a file. Raises Interrupted where it ends too early."""
        if size is not None and at == size:
            return
        headers = {"accept-encoding": "identity", **({"range": f"bytes={at}-"} if at else {})}
        with client.stream("GET", url, headers=headers, timeout=self.limits.timeout_s) as answer:
            if answer.status_code in (408, 429) or answer.status_code >= 500:
                raise Interrupted(f"it answered {answer.status_code}")
            if answer.status_code not in (200, 206):
                raise StackError(f"{self.what}: {_host(url)} answered {answer.status_code}. Check its name and rights.")
            skip = at if at and answer.status_code == 200 else 0  # a server that can't go on sends all again
            arrived = at - skip
            for chunk in answer.iter_raw(CHUNK):
                arrived += len(chunk)
                if skip:
                    dropped = min(skip, len(chunk))
                    skip, chunk = skip - dropped, chunk[dropped:]
                if chunk:
                    yield chunk
            said = answer.headers.get("content-length", "")
            end = size if size is not None else (int(said) + (at if answer.status_code == 206 else 0) if said else None)
            if end is not None and arrived < end:
                raise Interrupted(f"{readable(end - arrived)} are missing")

    def _require(self, name: str, found: str, wanted: str) -> None:
        if wanted and found != wanted:
            raise StackError(
                f"{self.what}: {name} has the digest sha256:{found[:12]}…, and its registry stated "
                f"sha256:{wanted[:12]}…. Nothing of it is kept. See who changed it there."
            )


def leads_out(name: str) -> bool:
    """Whether a name, with `/` between its parts, is of no file below a folder."""
    parts = PurePosixPath(name).parts
    return not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in parts[0]


class Interrupted(Exception):
    """An answer that ended too early."""


def _begun(part: Path) -> tuple[int, hashlib._Hash]:
    """How much of a file is here, and its digest so far."""
    found, count = hashlib.sha256(), 0
    with contextlib.suppress(FileNotFoundError), part.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
            count += len(chunk)
    return count, found


def _place(part: Path, path: Path, keep: bool) -> None:
    """A whole file goes to its place. Kept as a second name, it needn't be fetched again if a later one breaks off."""
    with contextlib.suppress(OSError):  # a file system without hard links
        if keep:
            path.unlink(missing_ok=True)
            os.link(part, path)
            return
    os.replace(part, path)


def _host(url: str) -> str:
    return httpx.URL(url).host


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


__all__ = ["CHUNK", "Interrupted", "Progress", "Transfer", "leads_out"]
