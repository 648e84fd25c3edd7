"""One controller process: loads what looks need, forks the nursery, then follows and answers on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from rollcast.cli.commenting.statuses import statuses_of
from rollcast.cli.following.access import SyncAccess
from rollcast.cli.following.controller import Controller, ControllerSettings
from rollcast.cli.following.events import Listening, Remarked, say_json, say_text
from rollcast.cli.following.http import ControllerApp
from rollcast.cli.following.looks import Looker
from rollcast.cli.following.metrics import metrics_of
from rollcast.cli.following.statuses import StatusReports
from rollcast.cli.following.workers import Run, Workers
from rollcast.plugins.settings import models
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.listening import as_written, listening_at
from rollcast.stacks.following.leader import Leadership
from rollcast.stacks.following.revision import FollowedSource

_MOST_CONNECTIONS = 64


@dataclass(frozen=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Address:
        """From `ADDRESS:PORT`; an IPv6 address stands in brackets. Raises StackError."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise StackError(f"'{text}' is no address to listen at. Write ADDRESS:PORT, such as 127.0.0.1:8724.")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def bound(self) -> socket.socket:
        """A socket that listens there. Raises StackError."""
        return listening_at(self.host, self.port, _MOST_CONNECTIONS, "Correct --listen.")


def follow(
    source: FollowedSource, kept: Path, settings: ControllerSettings, address: Address, run: Run,
    loaded: Sequence[str], *, forecast: bool, as_json: bool,
) -> None:  # fmt: skip
    """Follows until SIGINT or SIGTERM. `kept`: where the controller's ledger is; `loaded`: modules.

    Raises StackError.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise StackError(f"'{error.name}' is not installed. In a clone of rollcast: pip install '.[serve]'.") from None

    class Server(uvicorn.Server):
        """Leaves signals to the controller, which ends it."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    for name in loaded:
        import_module(name)
    list(models())  # the kinds of every seam
    say = say_json if as_json else say_text
    with address.bound() as listening:
        workers = Workers.start(run)

        async def main() -> None:
            workers.attend()
            statuses = StatusReports(
                statuses_of(getattr(source, "url", ""), os.environ), lambda text: say(Remarked(text=text))
            )
            controller = Controller(
                source, Leadership(source.name, kept), workers, Looker(workers, settings.file, forecast), settings, say,
                statuses,
            )  # fmt: skip
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, controller.stop)
            server = Server(uvicorn.Config(
                ControllerApp(_Served(controller), SyncAccess.of()), log_level="warning", access_log=False,
                lifespan="off", ws="none", http="h11", timeout_graceful_shutdown=2, timeout_keep_alive=5,
                limit_concurrency=_MOST_CONNECTIONS, server_header=False,
            ))  # fmt: skip
            answering = asyncio.create_task(server.serve(sockets=[listening]))
            host, port = listening.getsockname()[:2]
            say(Listening(address=f"http://{as_written(host)}:{port}"))
            try:
                await controller.run()
            finally:
                server.should_exit = True
                await answering
                workers.end()

        asyncio.run(main())


class _Served:
    """A controller as its HTTP side asks it."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self.alive, self.ready, self.hurry = controller.alive, controller.ready, controller.hurry
        self.brake = controller.brake

    def metrics(self) -> str:
        return metrics_of(self._controller)


__all__ = ["Address", "follow"]
