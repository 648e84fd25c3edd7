"""`rollcast schema`: the JSON Schema of rollcast.yaml."""

from __future__ import annotations

import typer

from rollcast.cli import terminal


def schema() -> None:
    """Print the JSON Schema of rollcast.yaml, for editors."""
    from rollcast.planner.declaration import Declaration

    found = Declaration.model_json_schema(by_alias=True)
    terminal.out_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **found})


def register(app: typer.Typer) -> None:
    app.command()(schema)
