"""What changes inside artifacts, for the page and for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.cli.reports.escaping import code, markdown
from rollcast.cli.reports.page import Rewording
from rollcast.planner.plan.models import ContentChange

_AROUND = 60  # characters of what stays that a comment shows on each side
MOST_SHOWN = 1500  # characters of one text in a comment


def rewordings(changes: Sequence[ContentChange]) -> Iterator[Rewording]:
    """Every change with all of its words."""
    for change in changes:
        breaks = [f"breaks: {what}" for what in change.breaking]
        more = [f"There is more: rollcast diff {change.before} {change.after}"] if change.cut else []
        yield Rewording(heading(change), change.words, [*breaks, *change.files, *filter(None, [change.note]), *more])


def heading(change: ContentChange) -> str:
    """Which artifact of which component changes into which."""
    return f"{change.slot or change.kind.value}: {change.before} → {change.after}"


def in_markdown(changes: Sequence[ContentChange]) -> list[str]:
    """One list item a change: words struck out and in bold, with a few words around them."""
    found = []
    for change in changes:
        parts = [f"{code(change.slot)} {code(change.before)} → {code(change.after)}"]
        parts += [f"⚠️ breaks: {markdown(what)}" for what in change.breaking]
        text = "".join(_shown(sign, text) for sign, text in change.words)
        parts += [_cut(text)] if any(sign != "=" for sign, _ in change.words) else []
        parts += [code(name) for name in change.files]
        found.append("; ".join(parts))
    return found


def _shown(sign: str, text: str) -> str:
    plain = markdown(text, MOST_SHOWN)
    if sign == "=":
        inside = markdown(text[:_AROUND]), markdown(text[-_AROUND:])
        return f" {plain} " if len(text) <= 2 * _AROUND else f" {inside[0]} … {inside[1]} "
    if not plain:
        return " "
    return f"~~{plain}~~" if sign == "-" else f"**{plain}**"


def _cut(text: str) -> str:
    """No longer than a reader of a comment reads; cut between words, so that no mark is left open."""
    if len(text) <= MOST_SHOWN:
        return text.strip()
    head = text[:MOST_SHOWN]
    end = max(head.rfind(" ~~"), head.rfind(" **"), head.rfind("~~ "), head.rfind("** "), 0)
    whole = head[:end] if end else ""
    for mark in ("~~", "**"):
        if whole.count(mark) % 2:
            whole = whole[: whole.rfind(mark)]
    return f"{whole.strip()} …"


__all__ = ["heading", "in_markdown", "rewordings"]
