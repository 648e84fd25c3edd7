"""What a command says, and where: results to standard output, everything else to standard error.

Colour only on a terminal, and never with NO_COLOR set (https://no-color.org). Text from declarations and telemetry
may hold control characters; `clean` takes them out before anything reaches a terminal. Where a stream can't write a
character (`LANG=C`, a latin-1 terminal) its ASCII form is written; in JSON it is escaped, so that no value changes.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
import unicodedata
from typing import Any, TextIO

import typer

_ASCII = {
    "\u00b1": "+-", "\u00b7": "-", "\u00b2": "2", "\u2013": "-", "\u2026": "...", "\u2192": "->", "\u2190": "<-",
    "\u2713": "yes", "\u2705": "[ok]", "\u2715": "x", "\u274c": "[no]", "\u26a0": "[!]", "\u2796": "-", "\ufe0f": "",
    "\u25cb": "o", "\u25cf": "*", "\u25d0": "*",
}  # fmt: skip


def ascii_form(character: str) -> str:
    """What is written where a character can't be: what people type for it, its letter without accents, or `?`."""
    known = _ASCII.get(character)
    if known is not None:
        return known
    if unicodedata.category(character) == "Cs":
        return "?"
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode("ascii") or "?"


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(ascii_form, error.object[error.start : error.end])), error.end


def speak_anywhere() -> None:
    """Lets standard output and standard error write whatever is said, under any locale."""
    codecs.register_error("rollcast-ascii", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="rollcast-ascii")


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


def out_json(value: Any, indent: int | None = 2) -> None:
    """The result as JSON that a person can read too; without `indent` as one line of many."""
    out(json.dumps(value, indent=indent, ensure_ascii=not _writes_all()))


def _writes_all() -> bool:
    """Whether standard output can write any character."""
    return codecs.lookup(getattr(sys.stdout, "encoding", None) or "utf-8").name.startswith("utf")


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
