"""`rollcast schema`: the JSON Schema of rollcast.yaml."""

from __future__ import annotations

from typing import Any

import typer

from rollcast.cli import terminal


def schema() -> None:
    """Print the JSON Schema of rollcast.yaml, for editors."""
    from rollcast.planner.declaration.schema import declaration_schema
    from rollcast.plugins.settings import models
    from rollcast.simulator.stations.kinds import profile_models

    settings: dict[str, dict[str, Any]] = {}
    for key, kind, model in models():
        settings.setdefault(key, {})[kind] = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    profiles = {
        kind: model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}") for kind, model in profile_models()
    }
    terminal.out_json(declaration_schema(profiles, settings))


def register(app: typer.Typer) -> None:
    app.command()(schema)
