"""The synthesis engine: a conditional flow (Lipman et al., 2023) in a latent space of its own, and its style adapters.

A picture is a point of the latent space. The engine moves noise to a picture of the subject that it is to draw, by
following a learned velocity from time 0 to time 1 in so many steps. An adapter is a low-rank change of its layers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataplane.classifiers import SIDE, Floats
from dataplane.errors import BrokenMix

LAYERS = ("first", "second", "last")
FREQUENCIES = 2.0 ** np.arange(6)
SUBJECTS = 10
Watch = Callable[[float, Floats], bool]  # (time, where the picture will end) -> whether to stop drawing


@dataclass(frozen=True)
class Codec:
    """Between pictures and a latent space: principal components of pixels raised to `power`, each of variance 1."""

    space: str
    power: float
    mean: Floats
    components: Floats
    scale: Floats

    def encode(self, pictures: Floats) -> Floats:
        """[n, 8, 8] -> [n, latent]."""
        flat = np.clip(pictures.reshape(len(pictures), -1), 0, 1) ** self.power
        found: Floats = (flat - self.mean) @ self.components.T / self.scale
        return found

    def decode(self, points: Floats) -> Floats:
        """[n, latent] -> [n, 8, 8], cut to 0 and 1."""
        flat = np.clip(points * self.scale @ self.components + self.mean, 0, 1) ** (1 / self.power)
        found: Floats = flat.reshape(-1, SIDE, SIDE)
        return found


@dataclass(frozen=True)
class Adapter:
    """A style: for each layer `down` [in, rank] and `up` [rank, out], trained in one latent space."""

    space: str
    style: str
    down: dict[str, Floats]
    up: dict[str, Floats]


@dataclass(frozen=True)
class Engine:
    """The weights of the velocity: three layers, of [point, time, subject]."""

    codec: Codec
    weights: dict[str, Floats]
    biases: dict[str, Floats]

    def styled(self, adapter: Adapter) -> Engine:
        """This engine with a style. Raises BrokenMix where the adapter is of another latent space."""
        if adapter.space != self.codec.space:
            raise BrokenMix(
                f"The style adapter was trained in latent space {adapter.space} and the engine draws in "
                f"{self.codec.space}. Release them together."
            )
        changed = {name: self.weights[name] + adapter.down[name] @ adapter.up[name] for name in LAYERS}
        return Engine(self.codec, changed, self.biases)

    def velocity(self, points: Floats, time: Floats, subjects: Floats) -> Floats:
        """[n, latent] of points [n, latent] at times [n], for weights of subjects [n, 10]."""
        hidden = np.concatenate([points, waves(time), subjects], axis=1)
        for name in LAYERS[:-1]:
            hidden = silu(hidden @ self.weights[name] + self.biases[name])
        found: Floats = hidden @ self.weights["last"] + self.biases["last"]
        return found

    def draw(self, subject: Floats, steps: int, noise: Floats, watch: Watch | None = None) -> Floats | None:
        """One picture [8, 8]; None where `watch`, called at each step, has it stopped."""
        point, wanted = noise[None], subject[None]
        for step in range(steps):
            time = np.array([step / steps])
            velocity = self.velocity(point, time, wanted)
            if watch is not None and watch(step / steps, (point + (1 - time[0]) * velocity)[0]):
                return None
            point = point + velocity / steps
        picture: Floats = self.codec.decode(point)[0]
        return picture


def waves(time: Floats) -> Floats:
    """Times [n] as sines and cosines [n, 12]."""
    angles = time[:, None] * FREQUENCIES * np.pi
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)


def silu(values: Floats) -> Floats:
    found: Floats = values / (1 + np.exp(-values))
    return found


def load(folder: Path) -> Engine:
    """The engine in `folder`. Raises OSError, ValueError or KeyError where it can't be read."""
    about = json.loads((folder / "engine.json").read_text("utf-8"))
    with np.load(folder / "engine.npz", allow_pickle=False) as kept:
        arrays = {name: kept[name].astype(np.float64) for name in kept.files}
    codec = Codec(about["latent_space"], about["power"], arrays["mean"], arrays["components"], arrays["scale"])
    return Engine(codec, {n: arrays[f"{n}.weights"] for n in LAYERS}, {n: arrays[f"{n}.biases"] for n in LAYERS})


def load_adapter(folder: Path) -> Adapter:
    """The style adapter in `folder`. Raises OSError, ValueError or KeyError where it can't be read."""
    about = json.loads((folder / "adapter.json").read_text("utf-8"))
    with np.load(folder / "adapter.npz", allow_pickle=False) as kept:
        arrays = {name: kept[name].astype(np.float64) for name in kept.files}
    down, up = ({name: arrays[f"{name}.{part}"] for name in LAYERS} for part in ("down", "up"))
    return Adapter(about["latent_space"], about["style"], down, up)
