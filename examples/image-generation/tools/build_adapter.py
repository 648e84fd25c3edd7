"""Trains a style adapter on pictures in that style, for the engine that it is derived from: rank, steps, seed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from threadpoolctl import threadpool_limits

from dataplane import engines
from dataplane.engines import LAYERS
from tools.building import Task, task, write_arrays, write_json
from tools.pictures import kept
from tools.training import train_adapter


def build(job: Task) -> None:
    pictures, subjects = kept(job.source_with("pictures.npz"))
    engine = engines.load(job.source_with("engine.json"))
    given = job.parameters
    down, up, loss = train_adapter(
        engine.weights, engine.biases, engine.codec.encode(pictures), subjects, given["rank"], given["steps"],
        int(given["seed"]),
    )  # fmt: skip
    parts = {f"{name}.down": down[name] for name in LAYERS} | {f"{name}.up": up[name] for name in LAYERS}
    write_arrays(job.out / "adapter.npz", parts)
    write_json(
        job.out / "adapter.json",
        {"latent_space": engine.codec.space, "style": given["style"], "rank": given["rank"], "loss": round(loss, 4)},
    )


if __name__ == "__main__":
    with threadpool_limits(1):
        build(task())
