"""Two ways to turn text into 256 numbers. They share the dimension and nothing else.

An index made in one space and searched in the other gives confident nonsense and no error: that is the mistake that the
order of a release must rule out, and it is why the dimension is the same on purpose.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dataplane.text import words

Vectors = NDArray[np.float32]
DIMENSION = 256


class Embedder(Protocol):
    """Text in, unit vector out. A text with no known word gives the zero vector."""

    space: str

    def embed(self, text: str) -> Vectors: ...


def normalized(vector: Vectors) -> Vectors:
    """The vector at length 1; the zero vector stays."""
    length = float(np.sqrt(vector @ vector))
    return vector / np.float32(length) if length > 0 else vector


class Hashed:
    """Every word falls into a bucket by CRC-32, every bucket has a fixed random direction.

    The sum of the directions, weighted 1 + ln(count), is a Johnson-Lindenstrauss projection of the hashed bag of
    words (feature hashing: Weinberger et al., ICML 2009). It learns nothing from the corpus.
    """

    def __init__(self, directions: Vectors) -> None:
        self.space = f"hashed-{DIMENSION}"
        self._directions = directions

    def embed(self, text: str) -> Vectors:
        counts = Counter(zlib.crc32(word.encode()) % len(self._directions) for word in words(text))
        return _weighted_sum(counts, self._directions)


class Svd:
    """Truncated SVD of TF-IDF (latent semantic analysis: Deerwester et al., JASIS 1990), learned from the corpus.

    `directions[i]` is the idf weight of word i times its row of right singular vectors, so that a query costs one
    small sum and needs no sparse matrix.
    """

    def __init__(self, vocabulary: dict[str, int], directions: Vectors) -> None:
        self.space = f"svd-{DIMENSION}"
        self._vocabulary = vocabulary
        self._directions = directions

    def embed(self, text: str) -> Vectors:
        known = (self._vocabulary.get(word) for word in words(text))
        return _weighted_sum(Counter(row for row in known if row is not None), self._directions)


def _weighted_sum(counts: Counter[int], directions: Vectors) -> Vectors:
    if not counts:
        return np.zeros(DIMENSION, dtype=np.float32)
    weights = 1.0 + np.log(np.fromiter(counts.values(), dtype=np.float32, count=len(counts)))
    return normalized((weights @ directions[list(counts)]).astype(np.float32))


def embed_all(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """One row for each text."""
    return np.stack([embedder.embed(text) for text in texts])


def load(folder: Path) -> Embedder:
    """The embedder that a build left in `folder`. Raises OSError, ValueError or KeyError when it isn't whole."""
    settings = json.loads((folder / "embedder.json").read_text("utf-8"))
    directions = np.load(folder / "directions.npy", allow_pickle=False)
    if directions.ndim != 2 or directions.shape[1] != DIMENSION:
        raise ValueError(f"directions.npy has shape {directions.shape}, not (words, {DIMENSION})")
    if settings["family"] == "hashed":
        return Hashed(directions)
    if settings["family"] == "svd":
        return Svd(json.loads((folder / "vocabulary.json").read_text("utf-8")), directions)
    raise ValueError(f"embedder.json names the family '{settings['family']}', which is neither 'hashed' nor 'svd'")
