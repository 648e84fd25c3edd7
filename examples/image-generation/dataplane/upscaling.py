"""What is done to a drawn picture before it is delivered: made larger, and marked as made by a machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataplane.classifiers import SIDE, Floats

SIZES = (8, 16, 32)


@dataclass(frozen=True)
class Finish:
    """`mark`: how dark the pattern in the lower right corner is, from 0 to 1. `largest`: pixels of the longest side."""

    mark: float
    largest: int

    def apply(self, picture: Floats, size: int) -> Floats:
        """[size, size], bilinear, with the mark in its last row."""
        size = min(size, self.largest)
        places = (np.arange(size) + 0.5) * SIDE / size - 0.5
        low = np.clip(np.floor(places).astype(int), 0, SIDE - 2)
        part = np.clip(places - low, 0, 1)
        rows = picture[low] * (1 - part)[:, None] + picture[low + 1] * part[:, None]
        found: Floats = rows[:, low] * (1 - part) + rows[:, low + 1] * part
        found[-1, -4::2] = self.mark
        return found


def load(folder: Path) -> Finish:
    """Raises OSError, ValueError or TypeError where it can't be read."""
    return Finish(**json.loads((folder / "finish.json").read_text("utf-8")))
