"""Words, numbers and sentences: one way to cut text, for builders, index, agent, policy and monitor."""

from __future__ import annotations

import re
from functools import lru_cache

_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_COUNTED = "one two three four five six seven eight nine ten eleven twelve"
_NUMBERS = {word: str(number) for number, word in enumerate(_COUNTED.split(), 1)}
_LITTLE = """
    a an and are as at be been by can do does for from has have how i if in is it its may me must my no not of on or our
    should so than that the their them then there this to up us was we what when where which who will with you your
"""
_COMMON = frozenset(_LITTLE.split())
_ENDINGS = (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", ""))


def sentences(text: str) -> list[str]:
    """The sentences of a text, as they are written."""
    return [part for part in _SENTENCE_END.split(text.strip()) if part]


@lru_cache(4096)
def stem(word: str) -> str:
    """A word without its commonest endings; number words become digits."""
    if word in _NUMBERS:
        return _NUMBERS[word]
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + instead
            break
    return word.rstrip("e") if len(word) > 3 else word


@lru_cache(4096)
def words(text: str) -> tuple[str, ...]:
    """The stems of a text in their order, without the commonest words."""
    return tuple(stem(word) for word in _WORD.findall(text.lower()) if word not in _COMMON)


def numbers(text: str) -> frozenset[str]:
    """Every number that a text names, in digits or as a word."""
    return frozenset(word for word in words(text) if word[0].isdigit())


def supported(claim: str, by: str, share: float) -> bool:
    """Whether a sentence says what another one says: each of its numbers, and at least this share of its words."""
    said, known = frozenset(words(claim)), frozenset(words(by))
    return numbers(claim) <= numbers(by) and len(said & known) >= share * len(said)
