"""`rollcast serve`: the live view of one environment, in the browser."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import note_others, project_of

if TYPE_CHECKING:
    from rollcast.cli.reports.subject import Named

TOKEN = "ROLLCAST_SERVE_TOKEN"


def serve(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="0: any that is free.", min=0, max=65535)] = 8722,
    forecast: Annotated[
        list[str] | None,
        typer.Option("--forecast", metavar="[NAME=]FILE", help="A forecast of the plan, for its band; again for more."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A name that it is also reached by; again for more."),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Take no orders, whatever the token.")] = False,
) -> None:
    """Show the rollouts under way and past in the browser; pause, promote or abort with a token."""
    from rollcast.cli.commands.report import named_forecast

    _listen(context, host, port, [named_forecast(text) for text in forecast or []], read_only, allow_host or [])


def _listen(
    context: typer.Context, host: str, port: int, forecasts: list[Named], read_only: bool, names: list[str]
) -> None:
    from rollcast.stacks.base.errors import StackError

    try:
        import uvicorn

        from rollcast.cli.serving.app import application
        from rollcast.cli.serving.live import LivePage
    except ImportError as error:
        raise StackError(f"'{error.name}' is not installed. In a clone of rollcast: pip install '.[serve]'.") from None
    listening = _socket(host, port)
    chosen = listening.getsockname()[1]
    token = None if read_only else os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    everywhere = host in ("0.0.0.0", "::", "")
    hosts = ["localhost", "127.0.0.1", "::1", host, *names]
    if everywhere:
        hosts += [socket.gethostname(), socket.getfqdn()]
    project = project_of(context)
    note_others(project)
    app, site = application(LivePage(project, forecasts), token, hosts, addresses=everywhere)
    shown = f"[{host}]" if ":" in host else host
    terminal.note(f"Live view: http://{shown}:{chosen}/  (Ctrl-C ends it)")
    if token is not None:
        secret = f"the one in {TOKEN}" if os.environ.get(TOKEN) else token
        terminal.note(f"Token for pause, promote and abort: {secret}")
    if not _is_loopback(host):
        terminal.note("Warning: this address may be reached by others, and everyone who reaches it can read the page.")

    class Server(uvicorn.Server):
        """Ends open streams first, so that Ctrl-C is not held up by a reader."""

        def handle_exit(self, sig: int, frame: object) -> None:
            site.closing = True
            super().handle_exit(sig, None)

    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, lifespan="off")
    with listening:
        Server(config).run(sockets=[listening])


def _socket(host: str, port: int) -> socket.socket:
    """A bound socket. Raises StackError."""
    from rollcast.stacks.base.errors import StackError

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(64)  # before the address is printed: who calls at once is answered a moment later
    except OSError as error:
        raise StackError(
            f"{host}:{port} can't be listened at ({error.strerror}). Choose another with --port."
        ) from None
    return bound


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def register(app: typer.Typer) -> None:
    app.command()(serve)
