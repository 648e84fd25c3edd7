"""Small classifiers of pictures: random Fourier features (Rahimi and Recht, 2007) and a linear layer over them.

The image moderation of a release is one, and so are the judges, which belong to no release.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SIDE = 8  # pixels of a picture's side, as the engines draw it


@dataclass(frozen=True)
class Classifier:
    """directions [64, features], phases [features], weights [features, classes], biases [classes]; names of classes."""

    directions: Floats
    phases: Floats
    weights: Floats
    biases: Floats
    names: tuple[str, ...]

    def probabilities(self, pictures: Floats) -> Floats:
        """[n, classes] of pictures [n, 8, 8] with values from 0 (paper) to 1 (ink)."""
        features = np.cos(pictures.reshape(len(pictures), -1) @ self.directions + self.phases)
        scores = features @ self.weights + self.biases
        grown = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: Floats = grown / grown.sum(axis=1, keepdims=True)
        return found

    def named(self, picture: Floats) -> dict[str, float]:
        """The probability of each class of one picture."""
        return dict(zip(self.names, self.probabilities(picture[None])[0].tolist(), strict=True))


def load(file: Path) -> Classifier:
    """The classifier in an .npz file. Raises OSError, ValueError or KeyError where it can't be read."""
    with np.load(file, allow_pickle=False) as kept:
        arrays = [kept[name].astype(np.float64) for name in ("directions", "phases", "weights", "biases")]
        return Classifier(*arrays, tuple(str(name) for name in kept["names"]))
