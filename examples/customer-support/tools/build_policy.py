"""Trains the classifier of a policy on past questions, and puts its rules beside it.

`parameters`: what `dataplane.policy.Policy` has, and `softness` of the training.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples

from demos.building import Task, read_lines, task, write_json
from tools.training import train

ANSWERED = "answered"


def build(job: Task) -> None:
    rows = [row for folder in job.sources for row in read_lines(folder / "questions.jsonl")]
    texts = [row["text"] for row in rows]
    train(texts, [row.get("refuse", ANSWERED) for row in rows], job.out, float(job.parameters["softness"]))
    write_json(job.out / "rules.json", {name: value for name, value in job.parameters.items() if name != "softness"})


if __name__ == "__main__":
    build(task())
