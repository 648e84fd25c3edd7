"""Trains a synthesis engine: a codec (principal components) and the flow in its latent space.

`parameters`: latent_space (its name), power (of pixels, before components are taken), width, steps, seed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from threadpoolctl import threadpool_limits

from dataplane.engines import Codec
from tools.building import Task, task, write_arrays, write_json
from tools.pictures import DRAWN, kept
from tools.training import train_flow

LATENT = 24


def build(job: Task) -> None:
    pictures, subjects = kept(job.source_with("pictures.npz"))
    given, seed = job.parameters, int(job.parameters["seed"])
    every = np.concatenate([draw(pictures) for draw in DRAWN.values()])  # so that any style has a place in it
    flat = np.clip(every.reshape(len(every), -1), 0, 1) ** given["power"]
    mean = flat.mean(axis=0)
    _, values, components = np.linalg.svd(flat - mean, full_matrices=False)
    scale = values[:LATENT] / np.sqrt(len(flat))
    codec = Codec(given["latent_space"], given["power"], mean, components[:LATENT], scale)
    weights, biases, loss = train_flow(codec.encode(pictures), subjects, given["width"], given["steps"], seed)
    arrays = {"mean": mean, "components": codec.components, "scale": scale}
    arrays |= {f"{name}.weights": each for name, each in weights.items()}
    arrays |= {f"{name}.biases": each for name, each in biases.items()}
    write_arrays(job.out / "engine.npz", arrays)
    about = {"latent_space": codec.space, "power": codec.power, "loss": round(loss, 4)}
    write_json(job.out / "engine.json", about)


if __name__ == "__main__":
    with threadpool_limits(1):
        build(task())
