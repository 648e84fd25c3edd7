"""A vector index over passages: exact search, one matrix product for each query."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dataplane.embedders import DIMENSION, Vectors
from dataplane.text import sentences, words


@dataclass(frozen=True)
class Passage:
    """One retrievable text. Passage schema 1 has no title; schema 2 has one."""

    id: str
    text: str
    title: str | None = None

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(words(self.text))

    @cached_property
    def title_words(self) -> frozenset[str]:
        return frozenset(words(self.title or ""))

    @cached_property
    def sentences(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Every sentence with its words."""
        return tuple((sentence, frozenset(words(sentence))) for sentence in sentences(self.text))


@dataclass(frozen=True)
class Hit:
    """A passage and how near it is: cosine similarity after search, the reranker's own score after reranking."""

    passage: Passage
    score: float


class Index:
    """Passages and their unit vectors, row for row."""

    def __init__(self, passages: list[Passage], vectors: Vectors) -> None:
        self._passages = passages
        self._vectors = vectors

    def __len__(self) -> int:
        return len(self._passages)

    def search(self, vector: Vectors, count: int) -> list[Hit]:
        """The nearest passages, best first; equal scores in order of the corpus."""
        scores = self._vectors @ vector
        count = min(count, len(self._passages))
        nearest = np.argpartition(-scores, count - 1)[:count]
        nearest = nearest[np.lexsort((nearest, -scores[nearest]))]
        return [Hit(self._passages[row], float(scores[row])) for row in nearest.tolist()]


def load(folder: Path) -> Index:
    """The index that a build left in `folder`. Raises OSError, ValueError, KeyError or TypeError when it is broken."""
    vectors = np.load(folder / "vectors.npy", allow_pickle=False)
    with (folder / "passages.jsonl").open(encoding="utf-8") as lines:
        passages = [Passage(**json.loads(line)) for line in lines]
    if not passages or vectors.shape != (len(passages), DIMENSION):
        raise ValueError(f"{len(passages)} passages don't go with vectors of shape {vectors.shape}")
    return Index(passages, vectors)
