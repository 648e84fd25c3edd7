"""`rollcast engine`: the Pulumi engine at the version that this rollcast was made for."""

from __future__ import annotations

import typer

from rollcast.cli import terminal

app = typer.Typer(no_args_is_help=True, help="The Pulumi engine: install it, or say which one is used.")


@app.command()
def install() -> None:
    """Find the engine, or install it: built as a Go module, which takes some minutes, or downloaded by its digest.

    The official archive is only fetched where ROLLCAST_ENGINE_SHA256 gives its SHA-256, and used where it has it.
    """
    from rollcast.stacks import engine

    terminal.out(str(engine.ensure(terminal.note)))


@app.command()
def version() -> None:
    """Say which engine is used, and where it is."""
    from rollcast.stacks import engine

    terminal.out(f"pulumi {engine.VERSION} ({engine.require()})")


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="engine")
