"""Builds an evaluation suite: `parameters.cases` tasks in each language, with tests that a completion has to pass."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples

from demos.building import Task, task, write_lines
from tools.tasks import request
from tools.tasks import task as drawn


def build(job: Task) -> None:
    seed = job.parameters["seed"]
    tasks = [
        drawn(language, seed, "suite", number)
        for language, cases in sorted(job.parameters["cases"].items())
        for number in range(int(cases))
    ]
    write_lines(job.out / "cases.jsonl", [request(each) for each in tasks])


if __name__ == "__main__":
    build(task())
