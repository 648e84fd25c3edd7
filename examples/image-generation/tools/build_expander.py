"""Trains the expander: which subject a brief asks for, from its letters by threes, named and named around."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from threadpoolctl import threadpool_limits

from dataplane.briefs import GRAMS, grams
from tools.building import Task, task, write_arrays
from tools.subjects import AROUND, FRAMES, NAMES
from tools.training import train_softmax


def build(job: Task) -> None:
    examples = [
        (frame.replace("{subject}", phrase), subject)
        for subject, names in enumerate(NAMES)
        for phrase in (*names, *AROUND.get(subject, ()))
        for frame in (*FRAMES, *(f"{before} {frame}" for before in job.parameters["before"] for frame in FRAMES))
    ]
    given = np.zeros((len(examples), GRAMS))
    for row, (text, _) in enumerate(examples):
        given[row, grams(text)] = 1.0
    weights, biases = train_softmax(given, np.array([subject for _, subject in examples]), decay=1e-4, steps=150)
    write_arrays(job.out / "expander.npz", {"weights": weights, "biases": biases})


if __name__ == "__main__":
    with threadpool_limits(1):
        build(task())
