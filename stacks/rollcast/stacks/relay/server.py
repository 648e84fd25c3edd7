"""One relay process: HTTP and gRPC on one event loop, one core. It ends on SIGINT or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.base.listening import as_written, is_loopback, listening_at
from rollcast.stacks.relay.access import Access
from rollcast.stacks.relay.flags import RelayedFlags
from rollcast.stacks.relay.replicas import FORGET_S, MOST_REPLICAS, Replicas
from rollcast.stacks.relay.source import LOOK_S, FlagSource

_BACKLOG = 4096
_ASLEEP_S = 2.0


@dataclass(frozen=True)
class RelaySettings:
    """Where a relay listens, and its bounds. A port of 0: any that is free."""

    host: str = "127.0.0.1"
    port: int = 8723
    grpc_port: int = 8015
    certificate: Path | None = None
    key: Path | None = None
    most_replicas: int = MOST_REPLICAS
    forget_s: float = FORGET_S


def serve(settings: RelaySettings, source: FlagSource, say: Callable[[str], None]) -> None:
    """Runs until SIGINT or SIGTERM. `say` is called with where it listens, and what goes wrong. Raises StackError."""
    access = Access.of(settings.host)
    tls = _tls(settings)
    try:
        import uvicorn

        from rollcast.stacks.relay.sync import sync_server
    except ImportError as error:
        raise StackError(f"'{error.name}' is not installed. In a clone of rollcast: pip install '.[relay]'.") from None
    from rollcast.stacks.relay.app import RelayApp

    flags = RelayedFlags(source, say)
    replicas = Replicas(say, most=settings.most_replicas, forget_s=settings.forget_s)

    class Server(uvicorn.Server):
        """Answers those who wait before it ends."""

        def handle_exit(self, sig: int, frame: object) -> None:
            flags.close()
            super().handle_exit(sig, None)

    config = uvicorn.Config(
        RelayApp(flags, replicas, access), log_level="warning", access_log=False, lifespan="off", ws="none",
        timeout_graceful_shutdown=2, timeout_keep_alive=30, limit_concurrency=4 * settings.most_replicas + 100,
        backlog=_BACKLOG, server_header=False, date_header=False,
        ssl_certfile=settings.certificate, ssl_keyfile=settings.key,
    )  # fmt: skip

    async def run(listening: socket.socket) -> None:
        shown = as_written(settings.host)
        try:
            grpc_server, grpc_port = sync_server(
                flags, access, f"{shown}:{settings.grpc_port}", tls, settings.most_replicas
            )
        except RuntimeError:
            raise StackError(
                f"{shown}:{settings.grpc_port} can't be listened at. Choose another with --grpc-port."
            ) from None
        flags.look()
        await grpc_server.start()
        watching = asyncio.create_task(_watch(flags, replicas))
        say(
            f"Relay: {'https' if tls else 'http'}://{shown}:{listening.getsockname()[1]}, flagd sync at "
            f"{shown}:{grpc_port}  (Ctrl-C ends it)"
        )
        if not is_loopback(settings.host) and tls is None:
            say("Warning: tokens and flags travel in clear text. Give --tls-cert and --tls-key, or put TLS before it.")
        try:
            await Server(config).serve(sockets=[listening])
        finally:
            flags.close()
            watching.cancel()
            await grpc_server.stop(1.0)

    bound = listening_at(settings.host, settings.port, _BACKLOG, "Choose another with --port.")
    runner = asyncio.Runner(loop_factory=config.get_loop_factory())
    with bound as listening, runner, contextlib.suppress(KeyboardInterrupt):
        runner.run(run(listening))


async def _watch(flags: RelayedFlags, replicas: Replicas) -> None:
    """Looks at the source, and notices where this process did not run for a while."""
    before = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_S)
        late_s = time.monotonic() - before - LOOK_S
        if late_s > _ASLEEP_S:
            replicas.slept(late_s)
        before = time.monotonic()
        flags.look()
        replicas.tick()


def _tls(settings: RelaySettings) -> tuple[bytes, bytes] | None:
    if settings.certificate is None and settings.key is None:
        return None
    if settings.certificate is None or settings.key is None:
        raise StackError("TLS takes a certificate and its key. Give both, --tls-cert and --tls-key.")
    try:
        return settings.key.read_bytes(), settings.certificate.read_bytes()
    except OSError as error:
        raise StackError(f"{error.filename} can't be read ({error.strerror}). Correct the path.") from None
