"""Trains the embedder on past questions: which article answered each."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples

from demos.building import Task, read_lines, task
from tools.training import train


def build(job: Task) -> None:
    rows = read_lines(job.source_with("questions.jsonl") / "questions.jsonl")
    answered = [row for row in rows if "article" in row]
    train(
        [row["text"] for row in answered],
        [row["article"] for row in answered],
        job.out,
        float(job.parameters["softness"]),
    )


if __name__ == "__main__":
    build(task())
