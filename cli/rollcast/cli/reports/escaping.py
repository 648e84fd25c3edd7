"""Names and messages from declarations and telemetry, made harmless for the language that they are put into.

One function for each language: Markdown as GitHub and GitLab render it, Mermaid labels, DOT strings. HTML is escaped by
jinja2 (`autoescape=True`, nowhere switched off for values), the terminal by `rollcast.cli.terminal.clean`, which every
function here applies first: control characters, bidirectional overrides and line breaks do not get through.

A reader still sees the text as it was written; only what it could do is gone: no markup, no table cell of its own, no
link, no mention that notifies someone, no command to the code host, no directive of a diagram.
"""

from __future__ import annotations

import re

from rollcast.cli.terminal import clean

LONGEST = 300
ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
# What Markdown, its tables, its formulas or raw HTML give a meaning to inside a line, as character references
# (CommonMark 0.31, section 2.5: a reference can't stand for a character that makes structure).
_MARKUP = re.compile(r"[\\`*\[\]<>#!|~$&]|(?<![^\W_])_|_(?![^\W_])")
# What code hosts make of text after rendering: @user, #12, !12, %milestone, ~label, :emoji:.
_REFERENCE = re.compile(r"([@#!%~$&])(?=\w)|(:)(?=[\w+-]*[A-Za-z+-][\w+-]*:)")
_LINK = re.compile(r"(?i)\b(www)(?=\.)|(?<=\w)(://)|\b(GH)(?=-\d)")
_MERMAID_PLAIN = re.compile(r"[^\w .,:+\-/@()→·]")


def one_line(text: object, longest: int = LONGEST) -> str:
    """Text without control characters and line breaks, cut at `longest` characters."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def markdown(text: object, longest: int = LONGEST) -> str:
    """Text as plain words in Markdown, inside a sentence, a list or a table cell."""
    broken = _LINK.sub(_split, one_line(text, longest))
    marked = _REFERENCE.sub(rf"\g<0>{ZERO_WIDTH_SPACE}", broken)
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", marked)


def _split(found: re.Match[str]) -> str:
    """`www`, `://` and `GH` with a break inside, so that no link is made of what follows."""
    return found[0][0] + ZERO_WIDTH_SPACE + found[0][1:]


def code(text: object, longest: int = LONGEST) -> str:
    """A name in Markdown, set as code: nothing in a code span is markup, a link or a mention.

    A backtick would end the span and a bar the table cell, so a name with one of them is written as references.
    """
    plain = one_line(text, longest)
    if plain and not set("`|") & set(plain):
        return f"`{plain}`"
    return f"<code>{markdown(plain, longest)}</code>"


def mermaid(text: object, longest: int = 80) -> str:
    """A label of a Mermaid diagram, to stand between double quotes. `#NN;` is Mermaid's form of a reference."""
    return _MERMAID_PLAIN.sub(lambda found: f"#{ord(found[0])};", one_line(text, longest))


def dot(text: object, longest: int = LONGEST) -> str:
    """A string of the DOT language with its double quotes (https://graphviz.org/doc/info/lang.html)."""
    return '"' + one_line(text, longest).replace("\\", "\\\\").replace('"', '\\"') + '"'
