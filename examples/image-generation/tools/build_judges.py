"""Trains the judges, which belong to no release, on the pictures that no release is made from, in every style."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from threadpoolctl import threadpool_limits

from tools.building import Task, task, write_arrays
from tools.pictures import DRAWN, digits
from tools.training import train_classifier

STYLES = {"plain": "plain", "house": "bold", "other": "thin"}  # what users ask for, and how that is drawn


def build(job: Task) -> None:
    pictures, subjects = digits(1)
    seed = int(job.parameters["seed"])
    every = np.concatenate([DRAWN[drawn](pictures) for drawn in STYLES.values()])
    named = [str(subject) for subject in np.tile(subjects, len(STYLES))]
    styles = [style for style in STYLES for _ in pictures]
    write_arrays(job.out / "subjects.npz", train_classifier(every, named, features=768, width=3.0, seed=seed))
    write_arrays(job.out / "styles.npz", train_classifier(every, styles, features=256, width=4.0, seed=seed + 1))


if __name__ == "__main__":
    with threadpool_limits(1):
        build(task())
