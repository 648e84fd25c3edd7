"""`rollcast relay`: serves flags to a fleet of replicas, and collects what they say of themselves for the driver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import options_of, project_of


def relay(
    context: typer.Context,
    definition: Annotated[
        str | None,
        typer.Option(
            "--definition",
            metavar="FILE|URL",
            help="The flags: a file, ledger#NAME, a database's URL#NAME, or s3://BUCKET/KEY; else the file of "
            "the declared target.",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="HTTP; 0: any free one.", min=0, max=65535)] = 8723,
    grpc_port: Annotated[
        int, typer.Option("--grpc-port", metavar="N", help="flagd's sync; 0: any that is free.", min=0, max=65535)
    ] = 8015,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", metavar="FILE", help="Certificate chain, PEM, for both ports.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.")] = None,
    most_replicas: Annotated[
        int, typer.Option("--most-replicas", metavar="N", help="Further ones are refused.", min=1)
    ] = 4000,
    forget_after: Annotated[
        str, typer.Option("--forget-after", metavar="TIME", help="A replica silent for so long is taken for gone.")
    ] = "1h",
) -> None:
    """Serve flags (flagd sync, OFREP) to the data plane and collect its acknowledgements.

    Tokens come from ROLLCAST_RELAY_TOKEN (data planes) and ROLLCAST_RELAY_DRIVER_TOKEN (the driver).
    """
    from rollcast.planner.base.values import duration_s
    from rollcast.stacks.relay.replicas import LEASE_S
    from rollcast.stacks.relay.server import RelaySettings, serve
    from rollcast.stacks.relay.source import source_at

    try:
        forget_s = float(duration_s(forget_after))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--forget-after") from None
    if forget_s < LEASE_S:
        raise typer.BadParameter(
            f"a replica is missing after its lease, {LEASE_S:.0f} s, and can't be forgotten sooner",
            param_hint="--forget-after",
        )
    below = options_of(context).directory
    source = source_at(*((definition, below) if definition is not None else _declared(context)))
    settings = RelaySettings(
        host, port, grpc_port,
        certificate=below / tls_cert if tls_cert else None, key=below / tls_key if tls_key else None,
        most_replicas=most_replicas, forget_s=forget_s,
    )  # fmt: skip
    serve(settings, source, lambda text: terminal.note(terminal.clean(text)))


def _declared(context: typer.Context) -> tuple[str, Path]:
    """Where the declared flags are read, and the folder that it is below. Raises StackError where nobody reads them."""
    from rollcast.plugins.settings import opened
    from rollcast.stacks.base.errors import StackError

    project = project_of(context)
    flags = project.environment.flag_settings
    _, own = opened("flags" if project.environment.is_split else "target", flags)
    source = getattr(own, "source", None)
    if source is None:
        raise StackError(f"Flags of kind '{flags.kind}' are read by no relay. Name a copy of them with --definition.")
    return str(source), project.folder.resolve()


def register(app: typer.Typer) -> None:
    app.command()(relay)
