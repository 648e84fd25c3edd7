"""Builds an evaluation suite from a dataset: `parameters.cases` questions with their known passages."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.building import Task, read_documents, task, write_lines
from tools.questions import questions, share


def build(job: Task) -> None:
    seed, count = int(job.parameters.get("seed", 1)), int(job.parameters.get("cases", 200))
    found = questions(read_documents(job.source_with("documents.jsonl")), seed)
    found.sort(key=lambda question: share(seed, "case", question.relevant))
    write_lines(job.out / "cases.jsonl", [asdict(question) for question in found[:count]])


if __name__ == "__main__":
    build(task())
