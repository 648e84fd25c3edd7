"""Questions whose right passage is known: the first sentence of a documentation string with words dropped.

They are synthetic. The rule: of the words of the first sentence and of the title's last part, every one is kept with
probability 0.7, decided by a hash of (seed, document, place), and at least three are kept.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from dataplane.text import sentences, words
from tools.corpus import Document

KEPT = 0.7
LEAST_WORDS = 3


@dataclass(frozen=True)
class Question:
    """A query, and the id of the passage that answers it."""

    query: str
    relevant: str


def share(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but `parts`."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def questions(documents: list[Document], seed: int) -> list[Question]:
    """One question for each document whose first sentence has enough words."""
    found = []
    for document in documents:
        first = words(next(iter(sentences(document.text)), ""))[:16] + words(document.title.rsplit(".", 1)[-1])
        kept = [word for place, word in enumerate(first) if share(seed, document.id, place) < KEPT]
        if len(kept) >= LEAST_WORDS:
            found.append(Question(" ".join(kept), document.id))
    return found
