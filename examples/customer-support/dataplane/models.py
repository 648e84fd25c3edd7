"""What is learned of questions: a linear model over hashed words, of topics (embedder) or of refusals (policy).

Trained by scikit-learn (`tools/training.py`), used here by one product of a matrix: no replica imports scikit-learn.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
WIDTH = 1 << 12
_PART = re.compile(r"[a-z]+|\d+")


def features(text: str) -> Floats:
    """Words, neighbours and beginnings of words, hashed into WIDTH numbers of length 1. Digits count by how many."""
    parts = [f"#{min(len(part), 4)}" if part.isdigit() else part for part in _PART.findall(text.lower())]
    named = [*parts, *(f"{one} {other}" for one, other in pairwise(parts)), *(f"{part[:4]}*" for part in parts)]
    vector = np.zeros(WIDTH, np.float32)
    for name in named:
        vector[zlib.crc32(name.encode()) % WIDTH] += 1
    length = float(np.sqrt(vector @ vector))
    return vector / np.float32(length) if length else vector


@dataclass(frozen=True)
class Classifier:
    """Probabilities of `names` for a text."""

    names: tuple[str, ...]
    weights: Floats
    biases: Floats

    def probabilities(self, text: str) -> Floats:
        scores = features(text) @ self.weights + self.biases
        chances = np.exp(scores - scores.max())
        found: Floats = chances / chances.sum()
        return found

    def probability(self, text: str, wanted: frozenset[str]) -> float:
        """That a text belongs to one of the names that are wanted."""
        found = zip(self.names, self.probabilities(text).tolist(), strict=True)
        return sum(chance for name, chance in found if name in wanted)


def load_weights(folder: Path) -> Classifier:
    """The classifier in `folder`. Raises OSError, ValueError or KeyError."""
    with np.load(folder / "classifier.npz", allow_pickle=False) as found:
        names, weights, biases = found["names"], found["weights"], found["biases"]
    if weights.shape != (WIDTH, len(names)):
        raise ValueError(f"classifier.npz has weights of {weights.shape}, not ({WIDTH}, {len(names)})")
    return Classifier(tuple(map(str, names)), weights.astype(np.float32), biases.astype(np.float32))


@dataclass(frozen=True)
class Embedder:
    """A text as a unit vector: by which article it would be answered, as past questions were."""

    classifier: Classifier

    def embed(self, text: str) -> Floats:
        found: Floats = np.sqrt(self.classifier.probabilities(text))
        return found


def load(folder: Path) -> Embedder:
    """The embedder in `folder`. Raises OSError, ValueError or KeyError."""
    return Embedder(load_weights(folder))
