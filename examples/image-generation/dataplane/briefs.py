"""What users ask for, in words: moderated, put into a template, and understood as one of the subjects."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataplane.classifiers import Floats

GRAMS = 4096


@dataclass(frozen=True)
class WordList:
    """Moderation of briefs: one that has any of these words is refused."""

    words: frozenset[str]

    def refuses(self, brief: str) -> bool:
        return bool(self.words & set(brief.lower().replace(",", " ").split()))


@dataclass(frozen=True)
class Expander:
    """Which subject a text asks for: a linear classifier of its letters, by threes. weights [grams, 10]."""

    weights: Floats
    biases: Floats

    def subject(self, text: str) -> int:
        found: int = int((self.weights[grams(text)].sum(axis=0) + self.biases).argmax())
        return found


def grams(text: str) -> list[int]:
    """The buckets of a text's trigrams, each once."""
    padded = f" {' '.join(text.lower().split())} "
    return sorted({zlib.crc32(padded[i : i + 3].encode()) % GRAMS for i in range(len(padded) - 2)})


def load_words(folder: Path) -> WordList:
    """Raises OSError, ValueError or KeyError where it can't be read."""
    return WordList(frozenset(json.loads((folder / "words.json").read_text("utf-8"))["refuse"]))


def load_expander(folder: Path) -> Expander:
    """Raises OSError, ValueError or KeyError where it can't be read."""
    with np.load(folder / "expander.npz", allow_pickle=False) as kept:
        return Expander(kept["weights"].astype(np.float64), kept["biases"].astype(np.float64))


def load_template(folder: Path) -> str:
    """A text with {brief}. Raises OSError or ValueError where it can't be read."""
    text = (folder / "template.txt").read_text("utf-8").strip()
    if "{brief}" not in text:
        raise ValueError("the template has no {brief}")
    return text
