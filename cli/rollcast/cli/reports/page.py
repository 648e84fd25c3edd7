"""A page as data: what a report and the live view are made of, before any HTML.

Sections hold blocks; a block is words, a table, a figure (its drawing, its values by table and by reading line) or the
plan's graph. Strings are plain text and are escaped by the template; only `Markup` made by our own drawings is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

Tone = Literal["good", "warn", "bad", "plain"]
SIGNS: dict[Tone, str] = {"good": "✓", "warn": "!", "bad": "✕", "plain": "·"}


@dataclass(frozen=True, slots=True)
class Cell:
    """A table's cell. `tone` adds a sign and a colour; `code` sets a name as code; `end` aligns numbers.

    `link` is an address of our own making.
    """

    text: str
    tone: Tone | None = None
    code: bool = False
    end: bool = False
    picture: Markup | None = None
    link: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A table's row. `anchor` is its id in the page."""

    cells: Sequence[Cell]
    anchor: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its caption. `folded` hides it behind its caption; `searchable` adds a field that filters."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Row]
    folded: bool = False
    searchable: bool = False
    note: str = ""
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with its legend and its values."""

    anchor: str
    title: str
    summary: str
    drawing: Markup
    legend: Sequence[tuple[str, str]]
    values: Table
    reading: str = ""
    kind: str = "figure"


@dataclass(frozen=True, slots=True)
class Words:
    """Paragraphs, a list, or a command to copy."""

    paragraphs: Sequence[str] = ()
    items: Sequence[str] = ()
    command: str = ""
    kind: str = "words"


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph whose boxes lead to rows of a table below it."""

    drawing: Markup
    name: str = "The plan as a graph"
    reading: str = (
        "Every box is a link to its operation. Point at one, or move to it with Tab, "
        "to see what it waits for and what waits for it."
    )
    kind: str = "graph"


@dataclass(frozen=True, slots=True)
class Rewording:
    """What changes inside a text. words: runs of it, each kept (`=`), taken out (`-`) or put in (`+`)."""

    caption: str
    words: Sequence[tuple[str, str]]
    items: Sequence[str] = ()
    kind: str = "rewording"


Block = Table | Figure | Words | Graph | Rewording


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page with its heading."""

    anchor: str
    title: str
    blocks: Sequence[Block]
    lead: str = ""


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure that a reader looks for first."""

    label: str
    value: str
    note: str = ""
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Page:
    """The whole page: the verdict, the figures, the sections. `signed`: what a signature on paper would be under."""

    title: str
    subtitle: str
    tone: Tone
    verdict: str
    reasons: Sequence[str]
    tiles: Sequence[Tile]
    sections: Sequence[Section] = field(default_factory=tuple)
    foot: str = ""
    label: str = "Verdict"
    signed: str = ""
