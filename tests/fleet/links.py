"""Wires that can be cut: a TCP proxy of the test's own before each address that somebody is to lose sight of.

A wire that is cut refuses, so that nobody listens and open connections are reset, as where a host or its firewall says
no; or it is silent, so that connections stay and new ones are taken, but no byte goes through until it is whole again,
as in a network that loses packets: what was sent meanwhile arrives late.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from tests.stacks.site import free_port

_CHUNK = 65536


class Link:
    """A wire from `port` on loopback to another port there."""

    def __init__(self, to: int) -> None:
        self.to, self.port = to, free_port()
        self._through = asyncio.Event()
        self._through.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.carried = 0  # bytes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self, silent: bool) -> None:
        if silent:
            self._through.clear()
            return
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            _reset(writer)

    async def mend(self) -> None:
        self._through.set()
        if self._server is None:
            await self.listen()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._through.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
            self._writers.add(back)
            try:
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
            finally:
                self._writers.discard(back)
                back.close()
        except OSError:
            _reset(writer)  # nobody is there
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._through.wait()
            if self._server is None:  # it was cut while this was on its way
                return
            self.carried += len(data)
            writer.write(data)
            await writer.drain()
        await self._through.wait()
        with suppress(OSError, RuntimeError):
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with a reset, not with a goodbye."""
    writer.transport.abort()


class Links:
    """Wires, and the thread that carries them. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Links:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def link(self, to: int) -> Link:
        made = Link(to)
        self._do(made.listen())
        return made

    def cut(self, links: list[Link], silent: bool) -> None:
        """No byte goes through any of them from here on."""
        for each in links:
            self._do(each.cut(silent))

    def mend(self, links: list[Link]) -> None:
        for each in links:
            self._do(each.mend())

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _end(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
