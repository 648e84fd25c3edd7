"""Fits an alignment policy: a linear probe of an engine's latent space for the subjects that it watches.

`parameters`: subjects, least (from which probability on a picture is stopped), checked (times, 0 to 1).
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from threadpoolctl import threadpool_limits

from dataplane import engines
from tools.building import Task, task, write_arrays, write_json
from tools.pictures import kept
from tools.training import train_softmax


def build(job: Task) -> None:
    pictures, subjects = kept(job.source_with("pictures.npz"))
    codec = engines.load(job.source_with("engine.json")).codec
    weights, biases = train_softmax(codec.encode(pictures), subjects, decay=0.01)
    write_arrays(job.out / "alignment.npz", {"weights": weights, "biases": biases})
    about = {name: job.parameters[name] for name in ("subjects", "least", "checked")}
    write_json(job.out / "alignment.json", {"latent_space": codec.space, **about})


if __name__ == "__main__":
    with threadpool_limits(1):
        build(task())
