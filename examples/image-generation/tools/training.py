"""Training in numpy: the conditional flow, its low-rank adapters, and classifiers of random features.

Seeded, on one thread, so that building again on the same machine gives the same bytes. Another processor or another
version of numpy may round the last digits differently.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dataplane.classifiers import Floats
from dataplane.engines import LAYERS, SUBJECTS, silu, waves

BATCH = 128
SMALL = np.float32  # half the time of 64 bits, and no picture is worse for it
Arrays = dict[str, Floats]


class Adam:
    """Kingma and Ba, 2015, with a rate that falls to a tenth by a cosine."""

    def __init__(self, values: Arrays, rate: float, steps: int) -> None:
        self.values, self.rate, self.steps, self.done = values, rate, steps, 0
        self.first = {name: np.zeros_like(value) for name, value in values.items()}
        self.second = {name: np.zeros_like(value) for name, value in values.items()}

    def step(self, gradients: Arrays) -> None:
        self.done += 1
        rate = self.rate * (0.55 + 0.45 * np.cos(np.pi * self.done / self.steps))
        for name, gradient in gradients.items():
            self.first[name] += 0.1 * (gradient - self.first[name])
            self.second[name] += 0.001 * (gradient**2 - self.second[name])
            first, second = self.first[name] / (1 - 0.9**self.done), self.second[name] / (1 - 0.999**self.done)
            self.values[name] -= (rate * first / (np.sqrt(second) + 1e-8)).astype(SMALL)


def gradients_of(weights: Arrays, biases: Arrays, given: Floats, target: Floats) -> tuple[float, Arrays, Arrays]:
    """Mean squared error of the velocity, and its gradients by weights and biases."""
    inputs, before, hidden = [given], [], given
    for name in LAYERS[:-1]:
        before.append(hidden @ weights[name] + biases[name])
        hidden = silu(before[-1])
        inputs.append(hidden)
    off = hidden @ weights["last"] + biases["last"] - target
    loss, back = float((off**2).mean()), 2 * off / off.size
    by_weight: Arrays = {}
    by_bias: Arrays = {}
    for place in range(len(LAYERS) - 1, -1, -1):
        name = LAYERS[place]
        by_weight[name], by_bias[name] = inputs[place].T @ back, back.sum(axis=0)
        if place:
            gate = 1 / (1 + np.exp(-before[place - 1]))
            back = back @ weights[name].T * (gate * (1 + before[place - 1] * (1 - gate)))
    return loss, by_weight, by_bias


def batch(luck: np.random.Generator, points: Floats, subjects: Floats) -> tuple[Floats, Floats]:
    """What the velocity is given, and what it should be: on the straight way from noise to a picture."""
    rows = luck.integers(len(points), size=BATCH)
    noise, time = luck.standard_normal((BATCH, points.shape[1]), SMALL), luck.random(BATCH, SMALL)
    on_way = (1 - time)[:, None] * noise + time[:, None] * points[rows]
    given = np.concatenate([on_way, waves(time), np.eye(SUBJECTS)[subjects[rows]]], axis=1)
    return given.astype(SMALL), points[rows] - noise


def train_flow(points: Floats, subjects: Floats, width: int, steps: int, seed: int) -> tuple[Arrays, Arrays, float]:
    """Weights, biases, and the loss of the last hundred steps."""
    luck, points = np.random.default_rng(seed), points.astype(SMALL)
    latent = points.shape[1]
    sizes = [latent + len(waves(np.zeros(1))[0]) + SUBJECTS, width, width, latent]
    weights = {
        name: luck.standard_normal((low, high), SMALL) * SMALL(np.sqrt(1.0 / low))
        for name, low, high in zip(LAYERS, sizes, sizes[1:], strict=False)
    }
    biases = {name: np.zeros(weights[name].shape[1], SMALL) for name in LAYERS}
    rate, losses = Adam({**weights, **{f"b.{n}": b for n, b in biases.items()}}, 2e-3, steps), []
    for _ in range(steps):
        loss, by_weight, by_bias = gradients_of(weights, biases, *batch(luck, points, subjects))
        rate.step({**by_weight, **{f"b.{n}": g for n, g in by_bias.items()}})
        losses.append(loss)
    return weights, biases, float(np.mean(losses[-100:]))


def train_adapter(
    weights: Arrays, biases: Arrays, points: Floats, subjects: Floats, rank: int, steps: int, seed: int
) -> tuple[Arrays, Arrays, float]:
    """`down` and `up` of each layer, with all weights of the engine as they are (Hu et al., 2022); the last loss."""
    luck, points = np.random.default_rng(seed), points.astype(SMALL)
    weights, biases = ({name: each.astype(SMALL) for name, each in of.items()} for of in (weights, biases))
    down = {name: luck.standard_normal((weights[name].shape[0], rank), SMALL) * SMALL(0.1) for name in LAYERS}
    up = {name: np.zeros((rank, weights[name].shape[1]), SMALL) for name in LAYERS}
    rate, losses = (
        Adam({**{f"d.{n}": d for n, d in down.items()}, **{f"u.{n}": u for n, u in up.items()}}, 4e-3, steps),
        [],
    )
    for _ in range(steps):
        changed = {name: weights[name] + down[name] @ up[name] for name in LAYERS}
        loss, by_weight, _ = gradients_of(changed, biases, *batch(luck, points, subjects))
        by_down = {f"d.{name}": by_weight[name] @ up[name].T for name in LAYERS}
        rate.step({**by_down, **{f"u.{name}": down[name].T @ by_weight[name] for name in LAYERS}})
        losses.append(loss)
    return down, up, float(np.mean(losses[-100:]))


def train_softmax(given: Floats, classes: npt.NDArray[Any], decay: float, steps: int = 400) -> tuple[Floats, Floats]:
    """weights [inputs, classes] and biases of a softmax over the sorted distinct `classes` [n], all rows at once."""
    names, place = np.unique(classes, return_inverse=True)
    wanted, given = np.eye(len(names), dtype=SMALL)[place], given.astype(SMALL)
    values = {"weights": np.zeros((given.shape[1], len(names)), SMALL), "biases": np.zeros(len(names), SMALL)}
    rate = Adam(values, 0.05, steps)
    for _ in range(steps):
        scores = given @ values["weights"] + values["biases"]
        grown = np.exp(scores - scores.max(axis=1, keepdims=True))
        off = (grown / grown.sum(axis=1, keepdims=True) - wanted) / len(given)
        rate.step({"weights": given.T @ off + decay * values["weights"], "biases": off.sum(axis=0)})
    return values["weights"], values["biases"]


def train_classifier(pictures: Floats, names: list[str], features: int, width: float, seed: int) -> Arrays:
    """The arrays of a `classifiers.Classifier`. `width`: the distance of pictures within which they are alike."""
    luck = np.random.default_rng(seed)
    directions = luck.standard_normal((pictures[0].size, features)) / width
    phases = luck.random(features) * 2 * np.pi
    given = np.cos(pictures.reshape(len(pictures), -1) @ directions + phases)
    weights, biases = train_softmax(given, np.array(names), decay=1e-4)
    kept: Arrays = {"directions": directions, "phases": phases, "weights": weights, "biases": biases}
    kept["names"] = np.unique(names)
    return kept
