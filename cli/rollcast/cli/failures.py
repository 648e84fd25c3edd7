"""Errors as what a person reads and a script branches on."""

from __future__ import annotations

from collections.abc import Iterator

from rollcast.cli import terminal
from rollcast.planner.base.errors import DeclarationError, PlannerError
from rollcast.policies.errors import PolicyError
from rollcast.simulator.base.errors import SimulatorError
from rollcast.stacks.base.errors import HeldError, LockedError, StackError, StaleError

_CODES: tuple[tuple[type[Exception], int], ...] = ((HeldError, 5), (StaleError, 6), (LockedError, 7))


def exit_code(error: Exception) -> int:
    """What a command that ends with this error exits with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)


def reported(error: Exception) -> int:
    """Says an error on standard error, and gives the exit code of the command that ends with it."""
    for sentence in sentences(error):
        terminal.note(f"Error: {sentence}")
    return exit_code(error)


def sentences(error: Exception) -> Iterator[str]:
    """What is wrong and what to do: one text for each mistake."""
    if isinstance(error, DeclarationError):
        yield from map(str, error.diagnostics)
    elif isinstance(error, PlannerError | PolicyError | SimulatorError | StackError):
        yield str(error)
    else:
        kind = type(error).__name__
        yield f"rollcast failed in a way that it should not ({kind}: {error}). Run again with --debug and report it."
