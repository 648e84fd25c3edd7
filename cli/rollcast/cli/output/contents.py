"""What changes inside an artifact, as text: words taken out and put in, with a few words around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollcast.cli.terminal import coloured, paint
from rollcast.planner.plan.models import ContentChange

_LEAD, _ONE_LINE = 24, 100  # characters before a change, and of all changes, where they have one line
_AROUND = 40  # characters of what stays that are shown on each side
MOST_LINES = 40


def in_one_line(change: ContentChange) -> str:
    """The first words that change, with those before them; empty where no words do."""
    found, length, before = "", 0, ""
    for sign, text in change.words:
        plain = " ".join(text.split())
        if sign == "=":
            before = plain
            continue
        if length > _ONE_LINE:
            return f"{found} …"
        lead = f"… {before[-_LEAD:]}" if len(before) > _LEAD else before
        found += f"{' ' if found and before else ''}{paint(f'{lead} ' if lead else '', dim=True)}"
        found += _shown(sign, plain[:_ONE_LINE], first=False, last=False)
        length, before = length + len(lead) + len(plain), ""
    return found


def contents_of(changes: Sequence[ContentChange]) -> Iterator[str]:
    """Every change with its heading; once, where several tracks change alike."""
    if changes:
        yield paint("Content", bold=True)
    for change in dict.fromkeys(change.model_copy(update={"line": ""}) for change in changes):
        where = f"{change.slot}  " if change.slot else ""
        yield f"  {paint(where)}{paint(change.before, 'red')} -> {paint(change.after, 'green')}"
        yield from (f"    {paint(line)}" for line in _breaking(change))
        lines = _text(change.words).splitlines()
        yield from (f"    {line}" for line in lines[:MOST_LINES])
        if len(lines) > MOST_LINES or change.cut:
            yield f"    … and more: rollcast diff {change.before} {change.after}"
        yield from (f"    {paint(name)}" for name in change.files[:MOST_LINES])
        if change.note:
            yield f"    {paint(change.note)}"
    if changes:
        yield ""


def _breaking(change: ContentChange) -> Iterator[str]:
    for what in change.breaking:
        yield f"breaks: {what}"


def _text(words: Sequence[tuple[str, str]]) -> str:
    """The words as a person reads a change: [-old-]{+new+} where there is no colour."""
    if not any(sign != "=" for sign, _ in words):
        return ""
    return "".join(_shown(sign, text, i == 0, i == len(words) - 1) for i, (sign, text) in enumerate(words))


def _shown(sign: str, text: str, first: bool, last: bool) -> str:
    if sign == "-":
        return paint(text, "red") if coloured() else f"[-{paint(text)}-]"
    if sign == "+":
        return paint(text, "green") if coloured() else f"{{+{paint(text)}+}}"
    return paint(_middle_out(text, first, last), dim=True)


def _middle_out(text: str, first: bool, last: bool) -> str:
    """What stays, with its middle left out where it is long."""
    head = "" if first else text[:_AROUND]
    tail = "" if last else text[-_AROUND:]
    return text if len(text) <= len(head) + len(tail) + 3 else f"{head} … {tail}"


__all__ = ["contents_of", "in_one_line"]
