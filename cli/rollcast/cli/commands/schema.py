"""`rollcast schema`: the JSON Schema of rollcast.yaml."""

from __future__ import annotations

import typer

from rollcast.cli import terminal


def schema() -> None:
    """Print the JSON Schema of rollcast.yaml, for editors."""
    from rollcast.planner.declaration.schema import declaration_schema
    from rollcast.simulator.stations.profiles import KINDS

    profiles = {
        name: kind.model_json_schema(by_alias=True, ref_template="#/$defs/{model}") for name, kind in KINDS.items()
    }
    terminal.out_json(declaration_schema(profiles))


def register(app: typer.Typer) -> None:
    app.command()(schema)
