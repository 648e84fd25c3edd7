"""Builds a dataset of pictures: `parameters.drawn` gives the part of each way of drawing, such as {plain: 1.0}."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from tools.building import task, write_arrays
from tools.pictures import DRAWN, digits

if __name__ == "__main__":
    job = task()
    pictures, subjects = digits(0)
    parts = job.parameters["drawn"]
    place = np.random.default_rng(int(job.parameters.get("seed", 1))).permutation(len(pictures)) / len(pictures)
    edges = np.cumsum([0.0, *parts.values()])
    drawn = np.zeros_like(pictures)
    for name, low, high in zip(parts, edges, edges[1:], strict=False):
        own = (place >= low) & (place < high)
        drawn[own] = DRAWN[name](pictures[own])
    write_arrays(job.out / "pictures.npz", {"pictures": drawn, "digits": subjects})
