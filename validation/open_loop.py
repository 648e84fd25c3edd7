"""Callers of a service that never wait for each other: each request leaves when it is due, answered or not.

What is measured must not be the caller's own queue: bodies are made before the start, connections are kept open and a
new one is opened where all are taken, and a request's clock starts when its bytes are handed to the socket (asyncio
wakes up to a millisecond late; the arrival that the service sees is the real one, not the one that was due). The
caller's garbage is left for afterwards: a collection among thousands of requests would be measured as the service's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rollcast.simulator.base.draws import Floats


@dataclass(frozen=True)
class Answered:
    """Per request [n]: when it was sent and answered, seconds on time.time's clock; the id that the service gave it."""

    sent_s: Floats
    answered_s: Floats
    request: Sequence[str]


class _Connection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self) -> None:
        self.received = b""
        self.answer: asyncio.Future[tuple[float, bytes]] | None = None
        self.transport: asyncio.Transport | None = None
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), None)
        if end and length is not None and len(body) >= int(length.partition(b":")[2]):
            at_s, self.received = time.time(), b""
            if not head.startswith(b"HTTP/1.1 200"):
                self._give(ConnectionError(f"the service answered {head[:60]!r}: {body[:200]!r}"))
            elif self.answer is not None:
                self.answer.set_result((at_s, body))

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._give(error or ConnectionError("the service closed the connection"))

    def _give(self, error: Exception) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    async def ask(self, request: bytes) -> tuple[float, float, bytes]:
        """When the request was sent, when its answer was whole, and the answer. Raises OSError."""
        assert self.transport is not None
        self.answer = asyncio.get_running_loop().create_future()
        sent_s = time.time()
        self.transport.write(request)
        answered_s, body = await self.answer
        return sent_s, answered_s, body


def ask_all(port: int, path: str, due_s: Floats, bodies: Sequence[dict[str, Any]]) -> Answered:
    """Posts every body to a local service `due_s` seconds after the start, ascending. Raises OSError on any failure."""
    requests = [_encoded(path, body) for body in bodies]
    gc.collect()
    gc.disable()
    try:
        return asyncio.run(_ask_all(port, requests, due_s))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    finally:
        gc.enable()


def _encoded(path: str, body: dict[str, Any]) -> bytes:
    text = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(text)}"
    return f"{head}\r\n\r\n".encode() + text


async def _ask_all(port: int, requests: Sequence[bytes], due_s: Floats) -> Answered:
    loop, free = asyncio.get_running_loop(), list[_Connection]()
    sent, answered, ids = np.zeros(len(requests)), np.zeros(len(requests)), [""] * len(requests)

    async def one(number: int) -> None:
        while free and free[-1].closed:  # a service closes what has been idle for some seconds
            free.pop()
        connection = free.pop() if free else (await loop.create_connection(_Connection, "127.0.0.1", port))[1]
        sent[number], answered[number], body = await connection.ask(requests[number])
        free.append(connection)
        ids[number] = json.loads(body)["request"]

    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:  # which forgets those that are done: memory must not grow meanwhile
        for number, due in enumerate(due_s):
            wait = began + due - time.monotonic()
            await asyncio.sleep(max(wait, 0.0))
            tasks.create_task(one(number))
    for connection in free:
        assert connection.transport is not None
        connection.transport.close()
    return Answered(sent, answered, ids)
