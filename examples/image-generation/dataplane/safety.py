"""Who may not be drawn: watched in the latent space while a picture comes into being, and on the finished picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataplane import classifiers
from dataplane.classifiers import Classifier, Floats
from dataplane.errors import BrokenMix


@dataclass(frozen=True)
class Alignment:
    """Stops a picture that is on its way to a withheld subject: a linear probe of where it will end.

    weights [latent, 10], biases [10]; `subjects` are stopped from `least` on, at the times `checked`.
    """

    space: str
    subjects: tuple[int, ...]
    least: float
    checked: tuple[float, ...]
    weights: Floats
    biases: Floats

    def stops(self, end: Floats) -> bool:
        scores = np.exp(np.clip(end @ self.weights + self.biases, -50, 50))
        return bool(scores[list(self.subjects)].sum() / scores.sum() >= self.least)

    def of(self, space: str) -> Alignment:
        """Itself. Raises BrokenMix where it was made for another latent space."""
        if space != self.space:
            raise BrokenMix(
                f"The alignment policy reads latent space {self.space} and the engine draws in {space}. "
                "Release them together."
            )
        return self


@dataclass(frozen=True)
class Moderation:
    """Refuses a finished picture that its classifier takes for a withheld subject."""

    classifier: Classifier
    least: float

    def refuses(self, picture: Floats) -> bool:
        return self.classifier.named(picture)["withheld"] >= self.least


def load_alignment(folder: Path) -> Alignment:
    """Raises OSError, ValueError, KeyError or TypeError where it can't be read."""
    about = json.loads((folder / "alignment.json").read_text("utf-8"))
    with np.load(folder / "alignment.npz", allow_pickle=False) as kept:
        weights, biases = kept["weights"].astype(np.float64), kept["biases"].astype(np.float64)
    subjects, checked = tuple(about["subjects"]), tuple(about["checked"])
    return Alignment(about["latent_space"], subjects, about["least"], checked, weights, biases)


def load_moderation(folder: Path) -> Moderation:
    """Raises OSError, ValueError or KeyError where it can't be read."""
    about = json.loads((folder / "moderation.json").read_text("utf-8"))
    return Moderation(classifiers.load(folder / "moderation.npz"), about["least"])
