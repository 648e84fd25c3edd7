"""`rollcast ledger move`: from a file of one person's project to a database that a team shares, and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rollcast.cli import terminal
from rollcast.cli.inputs.options import project_of

if TYPE_CHECKING:
    from rollcast.stacks.moving.move import Move

app = typer.Typer(no_args_is_help=True, help="The ledger: move it to a database that a team shares, and back.")


@app.command()
def move(
    context: typer.Context,
    to: Annotated[
        str, typer.Option("--to", metavar="URL", help="postgresql+psycopg://…, or 'file': the project's own.")
    ],
    pulumi_to: Annotated[
        str | None,
        typer.Option(
            "--pulumi-to", metavar="URL", help="Pulumi's backend. Default: the same database, or the project."
        ),
    ] = None,
    format_: Annotated[Literal["text", "json"], typer.Option("--format", help="How to write the result.")] = "text",
) -> None:
    """Move the ledger of every environment, with Pulumi's state; refused while a rollout has somebody at work."""
    from rollcast.stacks.moving.move import move as carry_out

    found = carry_out(project_of(context), to, pulumi_to, terminal.note)
    if format_ == "json":
        terminal.out_json(_json(found))
    else:
        terminal.out("\n".join(map(terminal.clean, _lines(found))))


def _json(found: Move) -> dict[str, Any]:
    return {
        "format_version": "1.0",
        "from": found.source,
        "to": found.place,
        "already": found.already,
        "scopes": [
            {"scope": one.scope, "records": one.records, "positions": one.positions, "head": one.head}
            for one in found.copied.scopes
        ],
        "documents": found.copied.documents,
        "pulumi": {"backend": found.backend or None, "stacks": list(found.stacks)},
    }


def _lines(found: Move) -> Iterator[str]:
    if found.already:
        yield f"The ledger is at {found.place} already."
    else:
        yield f"The ledger was moved from {found.source} to {found.place}."
        for one in found.copied.scopes:
            yield f"  {one.scope}: {one.records} records, the chain is unbroken on both sides, head {one.head[:19]}"
        yield f"  {found.copied.documents} documents, each with the digest that it is named by"
        for stack in found.stacks:
            yield f"  Pulumi stack {stack}"
    yield ""
    if "://" not in found.place:
        yield "From now on: unset ROLLCAST_LEDGER_URL, and PULUMI_BACKEND_URL where it names the old place."
        return
    yield "From now on everybody, and the CI, sets:"
    yield f"  ROLLCAST_LEDGER_URL       {found.place}, with its password"
    if found.backend:
        yield f"  PULUMI_BACKEND_URL        {found.backend}, with its user and password"
    kept = f"what {found.passphrase_in} holds" if found.passphrase_in else "what it is here"
    yield f"  PULUMI_CONFIG_PASSPHRASE  {kept}"


def register(parent: typer.Typer) -> None:
    parent.add_typer(app, name="ledger")
