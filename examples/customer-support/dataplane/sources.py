"""The verified sources: an index of help centre articles, searched by meaning, put into a better order by words."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from pathlib import Path

import numpy as np

from dataplane.models import Floats
from dataplane.text import sentences, words
from demos.errors import BrokenMix


@dataclass(frozen=True)
class Passage:
    """An article. From passage schema 3.1 on it has an edition."""

    url: str
    title: str
    text: str
    edition: str | None = None

    @property
    def citation(self) -> str:
        """How it is cited: by its address, and by its edition where it has one."""
        return self.url if self.edition is None else f"{self.url}#{self.edition}"

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        return tuple(sentences(self.text))

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset((*words(self.title), *words(self.text)))


@dataclass(frozen=True)
class Hit:
    """A passage, and how well it goes with a question, from 0 to about 1."""

    passage: Passage
    score: float


class Sources:
    """Passages and their vectors, row for row."""

    def __init__(self, passages: Sequence[Passage], vectors: Floats) -> None:
        self.passages, self._vectors = tuple(passages), vectors
        self.by_citation = {passage.citation: passage for passage in passages}
        held = [passage.words for passage in passages]
        every = {word for of in held for word in of}
        self.rarity = {word: log(1 + len(held) / sum(word in of for of in held)) for word in sorted(every)}

    @property
    def by_edition(self) -> bool:
        """Whether articles are cited by edition."""
        return all(passage.edition for passage in self.passages)

    def search(self, vector: Floats, count: int) -> list[Hit]:
        """The nearest passages, best first. Raises BrokenMix for a vector of another space."""
        if vector.shape != self._vectors.shape[1:]:
            raise BrokenMix("The index was built by another embedder than the one that asks. Release them together.")
        scores = self._vectors @ vector
        best = np.argsort(-scores, kind="stable")[:count].tolist()
        return [Hit(self.passages[row], float(scores[row])) for row in best]

    def overlap(self, query: Sequence[str], known: frozenset[str]) -> float:
        """Which part of a question's words a text has, rare ones counting more and unknown ones little."""
        weights = {word: self.rarity.get(word, 0.5) for word in query}
        return sum(weight for word, weight in weights.items() if word in known) / (sum(weights.values()) or 1.0)


@dataclass(frozen=True)
class Reranker:
    """`similarity_weight` for the index's own score, `title_weight` for words in the title, the rest for the text."""

    similarity_weight: float
    title_weight: float

    def rerank(self, sources: Sources, question: str, hits: Sequence[Hit], count: int) -> list[Hit]:
        """The best of `hits`, best first."""
        query, found = words(question), []
        for hit in hits:
            by_title = sources.overlap(query, frozenset(words(hit.passage.title)))
            by_words = sources.overlap(query, hit.passage.words) + self.title_weight * by_title
            score = self.similarity_weight * hit.score + (1 - self.similarity_weight) * by_words
            found.append(Hit(hit.passage, score))
        return sorted(found, key=lambda hit: -hit.score)[:count]


def load(folder: Path) -> Sources:
    """The index that a build left in `folder`. Raises OSError, ValueError, KeyError or TypeError."""
    index = json.loads((folder / "index.json").read_text("utf-8"))
    vectors = np.array(index["vectors"], np.float32)
    if len(vectors) != len(index["passages"]):
        raise ValueError(f"{len(index['passages'])} passages don't go with {len(vectors)} vectors")
    return Sources([Passage(**each) for each in index["passages"]], vectors)


def load_reranker(folder: Path) -> Reranker:
    """The reranker in `folder`. Raises OSError, ValueError or TypeError."""
    return Reranker(**json.loads((folder / "reranker.json").read_text("utf-8")))
