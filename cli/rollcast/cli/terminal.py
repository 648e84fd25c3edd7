"""What a command says, and where: results to standard output, everything else to standard error.

Colour only on a terminal, and never with NO_COLOR set (https://no-color.org). Text from declarations and telemetry
may hold control characters; `clean` takes them out before anything reaches a terminal.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

import typer


def clean(text: object) -> str:
    """Text without control characters: a name can't move the cursor or colour a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in str(text))


def coloured(stream: TextIO | None = None) -> bool:
    """Whether a stream (standard output by default) may be coloured."""
    chosen = sys.stdout if stream is None else stream
    return chosen.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: object, colour: str | None = None, *, bold: bool = False, dim: bool = False) -> str:
    """Cleaned text for standard output, in colour where that is wanted."""
    plain = clean(text)
    return typer.style(plain, fg=colour, bold=bold or None, dim=dim or None) if coloured() else plain


def out(text: str = "") -> None:
    """A line of the result."""
    sys.stdout.write(text + "\n")


def out_json(value: Any) -> None:
    """The result as JSON that a person can read too."""
    out(json.dumps(value, indent=2, ensure_ascii=False))


def note(text: str) -> None:
    """A line beside the result: progress, a hint, an error."""
    sys.stderr.write(clean(text) + "\n")
    sys.stderr.flush()


def confirm(question: str) -> bool:
    """Asks for a literal yes. Without a terminal the answer is no."""
    if not sys.stdin.isatty():
        note(f"{question} There is nobody to ask: run again with --auto-approve.")
        return False
    sys.stderr.write(f"{question} Only 'yes' is taken as yes: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == "yes"
