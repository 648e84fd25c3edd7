"""Code as tokens and back: a token is a word, a number, a text or a sign, with the space before it.

Names that differ from file to file are no tokens of their own: `@0` is the first argument of the function, `#0` the
first number in its comment. A model that knows them writes code about names that it has never seen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_TOKEN = re.compile(r" ?(?:\"[^\"]*\"|[A-Za-z_@#][\w]*|\d+|\.\.\.|===|!==|=>|==|!=|>=|<=|&&|\|\||[^\s])", re.ASCII)
OPENS = {"(": ")", "[": "]"}


def tokens_of(code: str) -> list[str]:
    """The tokens of one line. Joined they are the line again, where no two spaces follow each other."""
    return _TOKEN.findall(code)


def abstracted(tokens: Sequence[str], names: Mapping[str, str]) -> list[str]:
    """The tokens, those that `names` has replaced by what stands for them."""
    return [_same_space(each, names.get(each.strip(), each.strip())) for each in tokens]


def concrete(tokens: Sequence[str], names: Mapping[str, str]) -> str:
    """The line that the tokens are, with the names that they stand for (`names`: stand-in to name)."""
    return "".join(_same_space(each, names.get(each.strip(), each.strip())) for each in tokens)


def _same_space(token: str, text: str) -> str:
    return f" {text}" if token.startswith(" ") else text


def stand_ins(arguments: Sequence[str], numbers: Sequence[str]) -> dict[str, str]:
    """What stands for each argument and each number, by name."""
    found = {name: f"@{place}" for place, name in enumerate(arguments)}
    for number in numbers:
        found.setdefault(number, f"#{sum(each.startswith('#') for each in found.values())}")
    return found
