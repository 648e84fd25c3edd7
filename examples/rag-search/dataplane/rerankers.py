"""Puts the passages that an index found into a better order.

Reranker 1 looks at the text alone. Reranker 2 also looks at the title of a passage, which only passage schema 2 has:
put before an index of schema 1 it fails on every request.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataplane.errors import BrokenMix
from dataplane.indexes import Hit, Passage
from dataplane.text import words


@dataclass(frozen=True)
class Reranker:
    """BM25 term weighting over the candidates (Robertson and Zaragoza, 2009, equation 3.15), plus the index's score.

    `similarity_weight` scales the cosine similarity that the index gave, `title_weight` the share of the query's words
    that the title has. A `title_weight` above 0 needs passages with titles.
    """

    k1: float = 1.2
    b: float = 0.75
    similarity_weight: float = 1.0
    title_weight: float = 0.0

    def rerank(self, query: str, hits: Sequence[Hit], count: int) -> list[Hit]:
        """The best `count` of `hits`, best first. Raises BrokenMix when a title is needed and missing."""
        terms = set(words(query))
        if not hits or not terms:
            return list(hits[:count])
        rarity = {word: _rarity(sum(word in hit.passage.counts for hit in hits), len(hits)) for word in terms}
        length = sum(hit.passage.counts.total() for hit in hits) / len(hits)
        scored = [
            Hit(hit.passage, self._score(terms, rarity, length, hit.passage) + self.similarity_weight * hit.score)
            for hit in hits
        ]
        scored.sort(key=lambda hit: -hit.score)
        return scored[:count]

    def _score(self, terms: set[str], rarity: dict[str, float], length: float, passage: Passage) -> float:
        counts = passage.counts
        damping = self.k1 * (1 - self.b + self.b * counts.total() / length) if length else self.k1
        score = sum(
            rarity[word] * counts[word] * (self.k1 + 1) / (counts[word] + damping) for word in terms if word in counts
        )
        return score + self._title_score(terms, passage)

    def _title_score(self, terms: set[str], passage: Passage) -> float:
        if not self.title_weight:
            return 0.0
        if passage.title is None:
            raise BrokenMix(
                f"The reranker needs the title of passage {passage.id}, and the index has passages of schema 1. "
                "Release an index of passage schema 2 first."
            )
        return self.title_weight * len(terms & passage.title_words) / len(terms)


def _rarity(containing: int, total: int) -> float:
    return math.log(1 + (total - containing + 0.5) / (containing + 0.5))


def load(folder: Path) -> Reranker:
    """The reranker whose weights are in `folder`. Raises OSError, ValueError or TypeError when they can't be read."""
    return Reranker(**json.loads((folder / "reranker.json").read_text("utf-8")))
