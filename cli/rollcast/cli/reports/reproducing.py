"""The command that makes a report again: what was typed, with its seed, and nothing that is only of this machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import typer

from rollcast.cli.inputs.options import options_of

_LEFT_OUT = ("format_", "out", "workers", "markdown", "html", "comment", "dry_run")
_ALWAYS = ("runs", "seed")


def command_of(context: typer.Context) -> str:
    """The command under way with the options that decide its result; the seed always, default or not."""
    return shlex.join(["rollcast", *_shared(context), str(context.info_name), *_own(context)])


def _shared(context: typer.Context) -> Iterator[str]:
    chosen = options_of(context)
    if str(chosen.given) != ".":
        yield from ("-C", str(chosen.given))
    if chosen.environment is not None:
        yield from ("--env", chosen.environment)
    if chosen.file != "rollcast.yaml":
        yield from ("--file", chosen.file)


def _own(context: typer.Context) -> Iterator[str]:
    for parameter in context.command.params:
        name = str(parameter.name)
        value: Any = context.params.get(name)
        source = context.get_parameter_source(name)
        typed = source is not None and source.name == "COMMANDLINE"
        if name in _LEFT_OUT or value is None or not (typed or name in _ALWAYS):
            continue
        option = parameter.opts[0] if parameter.param_type_name == "option" else None
        if isinstance(value, bool):
            if value and option:
                yield option
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            yield from ([option] if option else [])
            yield str(each)
