"""Every command and the module that it lives in. A new command is one module and one line here."""

from __future__ import annotations

from importlib import import_module

import typer

# Each module has a function `register(app)` that adds its command or commands.
MODULES = (
    "init",
    "validate",
    "schema",
    "lock",
    "lineage",
    "diff",
    "evaluate",
    "plan",
    "simulate",
    "tune",
    "calibrate",
    "record",
    "report",
    "review",
    "comment",
    "apply",
    "approve",
    "status",
    "notify",
    "doctor",
    "steer",
    "brake",
    "destroy",
    "recover",
    "ledger",
    "moving",
    "evidence",
    "serve",
    "relay",
    "controller",
    "policy",
    "cache",
    "engine",
    "dataplane",
)


def register(app: typer.Typer) -> None:
    """Adds all commands, in the order in which help shows them."""
    for name in MODULES:
        import_module(f"rollcast.cli.commands.{name}").register(app)
