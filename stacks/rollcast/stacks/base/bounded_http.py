"""HTTP answers that end: in time however slowly they drip, in bounded memory however much is sent.

httpx limits the wait for each piece, so that an answer in small pieces never ends. `bounded` limits the whole of it:
what a request's timeout says is how long its answer may take, its headers included. Answers are requested without
compression and refused with it, for a small one may unpack to anything.
"""

from __future__ import annotations

import functools
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

MOST_BYTES = 8 * 1024 * 1024


@functools.cache
def _certificates() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def certificates_for(address: str) -> ssl.SSLContext | bool:
    """What a client of one address verifies it by: certifi's certificates, which take 0.1 s to read, read once.

    An address without TLS needs none. An answer that leads elsewhere is not followed by the clients that use this.
    """
    return _certificates() if address.lower().startswith("https:") else False


class _Limit(threading.local):
    until: float | None = None  # of the request that this thread waits for, on the monotonic clock


_LIMIT = _Limit()


def bounded(client: httpx.Client, most_bytes: int = MOST_BYTES) -> httpx.Client:
    """The client, whose answers take no longer than their timeout and no more than so many bytes.

    Its calls raise httpx.TimeoutException and httpx.RemoteProtocolError. The connection pools are httpx's own, with
    another network backend, which httpx has no setting for; a test of ours notices where it moves.
    """
    client.headers["accept-encoding"] = "identity"
    for transport in (client._transport, *client._mounts.values()):
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _Backend()
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], _begin],
        "response": [*hooks["response"], lambda answer: _refuse(answer, most_bytes)],
    }
    return client


def _begin(request: httpx.Request) -> None:
    longest = request.extensions.get("timeout", {}).get("read")
    _LIMIT.until = None if longest is None else time.monotonic() + longest


def _refuse(answer: httpx.Response, most_bytes: int) -> None:
    packed = answer.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        raise httpx.RemoteProtocolError(f"it is compressed ({packed[:20]}), which nobody wanted")
    if answer.headers.get("content-length", "").isdigit() and int(answer.headers["content-length"]) > most_bytes:
        raise httpx.RemoteProtocolError(f"it has {answer.headers['content-length']} bytes, over {most_bytes:,}")
    assert isinstance(answer.stream, httpx.SyncByteStream)
    answer.stream = _Counted(answer.stream, most_bytes)


class _Counted(httpx.SyncByteStream):
    """A body of at most so many bytes."""

    def __init__(self, stream: httpx.SyncByteStream, most: int) -> None:
        self._stream, self._most = stream, most

    def __iter__(self) -> Iterator[bytes]:
        left = self._most
        for piece in self._stream:
            left -= len(piece)
            if left < 0:
                raise httpx.RemoteProtocolError(f"it has more than {self._most:,} bytes")
            yield piece

    def close(self) -> None:
        self._stream.close()


def _left(timeout: float | None, late: type[Exception]) -> float | None:
    """What a wait may take, of its own limit and that of the whole answer."""
    if _LIMIT.until is None:
        return timeout
    left = _LIMIT.until - time.monotonic()
    if left <= 0:
        raise late("no whole answer in time")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options))


__all__ = ["MOST_BYTES", "bounded", "certificates_for"]
