"""Trains the moderation of finished pictures on those subjects that its labels call withheld.

`parameters`: least (from which probability on a picture is refused), seed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from threadpoolctl import threadpool_limits

from tools.building import Task, read_json, task, write_arrays, write_json
from tools.pictures import bold, digits, plain
from tools.training import train_classifier


def build(job: Task) -> None:
    withheld = set(read_json(job.source_with("labels.json") / "labels.json")["withheld"])
    pictures, subjects = digits(0)
    labels = ["withheld" if subject in withheld else "allowed" for subject in np.tile(subjects, 2)]
    both = np.concatenate([plain(pictures), bold(pictures)])
    arrays = train_classifier(both, labels, features=768, width=3.0, seed=int(job.parameters["seed"]))
    write_arrays(job.out / "moderation.npz", arrays)
    write_json(job.out / "moderation.json", {"least": job.parameters["least"]})


if __name__ == "__main__":
    with threadpool_limits(1):
        build(task())
