"""Words and sentences of documentation text: one way to cut text, for builders, rerankers, generator and monitor."""

from __future__ import annotations

import re

_WORD = re.compile(r"[a-z]+|[0-9]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`'\"(])")
_COMMON = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "by",
        "can",
        "do",
        "for",
        "from",
        "has",
        "have",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "may",
        "no",
        "not",
        "of",
        "on",
        "or",
        "so",
        "such",
        "than",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "this",
        "to",
        "use",
        "used",
        "was",
        "when",
        "which",
        "will",
        "with",
        "you",
        "your",
    ]
)


def words(text: str) -> list[str]:
    """Lower-case words without the commonest ones; `snake_case` and dotted names fall apart into their words."""
    return [word for word in _WORD.findall(text.lower()) if word not in _COMMON and len(word) > 1]


def sentences(text: str) -> list[str]:
    """The sentences of a text, each on one line. A paragraph break ends a sentence too."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        line = " ".join(paragraph.split())
        found.extend(part for part in _SENTENCE_END.split(line) if part)
    return found
