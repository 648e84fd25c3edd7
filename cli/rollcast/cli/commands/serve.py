"""`rollcast serve`: the live view of one environment, in the browser."""

from __future__ import annotations

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
    from rollcast.stacks.base.listening import as_written, is_loopback, listening_at

    try:
        import uvicorn

        from rollcast.cli.serving.app import application
        from rollcast.cli.serving.live import LivePage
    except ImportError as error:
        raise StackError(f"'{error.name}' is not installed. In a clone of rollcast: pip install '.[serve]'.") from None
    listening = listening_at(host, port, 64, "Choose another with --port.")
    chosen = listening.getsockname()[1]
    token = None if read_only else os.environ.get(TOKEN) or secrets.token_urlsafe(24)
    everywhere = host in ("0.0.0.0", "::", "")
    hosts = ["localhost", "127.0.0.1", "::1", host, *names]
    if everywhere:
        hosts += [socket.gethostname(), socket.getfqdn()]
    project = project_of(context)
    note_others(project)
    app, site = application(LivePage(project, forecasts), token, hosts, addresses=everywhere)
    terminal.note(f"Live view: http://{as_written(host)}:{chosen}/  (Ctrl-C ends it)")
    if token is not None:
        secret = f"the one in {TOKEN}" if os.environ.get(TOKEN) else token
        terminal.note(f"Token for pause, promote and abort: {secret}")
    if not is_loopback(host):
        terminal.note("Warning: this address may be reached by others, and everyone who reaches it can read the page.")

    class Server(uvicorn.Server):
        """Ends open streams first, so that Ctrl-C is not held up by a reader."""

        def handle_exit(self, sig: int, frame: object) -> None:
            site.closing = True
            super().handle_exit(sig, None)

    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, lifespan="off")
    with listening:
        Server(config).run(sockets=[listening])


def register(app: typer.Typer) -> None:
    app.command()(serve)
