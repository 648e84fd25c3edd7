"""What differs between two texts, word by word, and which variables a prompt's template has."""

from __future__ import annotations

import difflib
import re
from typing import Literal

from jinja2 import Environment, TemplateSyntaxError, meta

Word = tuple[Literal["=", "-", "+"], str]  # kept, taken out, put in
_TOKEN = re.compile(r"\s+|\w+|[^\w\s]")
_BRACES = re.compile(r"(?<!\{)\{([A-Za-z_][A-Za-z0-9_]*)\}(?!\})")
_DOLLAR = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
MOST_TOKENS = 20_000


def word_diff(before: str, after: str) -> list[Word]:
    """The runs of words that two texts share and that one of them has; put together again they are the two texts.

    Texts of more than MOST_TOKENS words are compared line by line, which is quick at any length.
    """
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    if len(old) + len(new) > MOST_TOKENS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    found: list[Word] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(("=", "".join(old[a:b])))
            continue
        if b > a:
            found.append(("-", "".join(old[a:b])))
        if d > c:
            found.append(("+", "".join(new[c:d])))
    return found


def variables_of(text: str) -> set[str]:
    """What a template is to be filled with: `{{ name }}` of Jinja, `{name}` of Python, `${name}` of a shell.

    Beside a `{name}`, doubled braces are what Python's templates write for braces themselves.
    """
    found = set(_DOLLAR.findall(text))
    simple = set(_BRACES.findall(_DOLLAR.sub("", text)))
    if "{%" in text or ("{{" in text and not simple):
        try:
            return found | meta.find_undeclared_variables(Environment(autoescape=True).parse(text))
        except TemplateSyntaxError:
            return found | set(re.findall(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)", text))
    return found | simple


__all__ = ["MOST_TOKENS", "Word", "variables_of", "word_diff"]
