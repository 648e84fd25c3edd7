"""Builds completions that developers accepted: `parameters.cases` tasks in each language, with the body they kept."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples

from demos.building import Task, task, write_lines
from tools.tasks import task as drawn


def build(job: Task) -> None:
    seed = job.parameters["seed"]
    solved = [
        drawn(language, seed, "accepted", number)
        for language, cases in sorted(job.parameters["cases"].items())
        for number in range(int(cases))
    ]
    rows = [{"language": each.language, "prefix": each.prefix, "accepted": each.body} for each in solved]
    write_lines(job.out / "completions.jsonl", rows)


if __name__ == "__main__":
    build(task())
