"""Trains a model on accepted completions, as an analyzer sees them.

`parameters`: `marks` (what its prompts are written with), `reads` (the lines of the analysis that it learns from),
`epochs` and `seed`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.append(str(Path(__file__).resolve().parents[2]))  # in a checkout, demos stands beside the examples

import numpy as np

from dataplane import analysis
from dataplane.tokens import abstracted, tokens_of
from demos.building import Task, read_lines, task, write_json
from tools.training import Example, trained


def build(job: Task) -> None:
    given = job.parameters
    analyzer = analysis.load(job.source_with("analyzer.json"))
    examples = []
    for row in read_lines(job.source_with("completions.jsonl") / "completions.jsonl"):
        found = analyzer.findings(row["language"], row["prefix"])
        said = [word for line in given["reads"] for word in found.lines[line].split()]
        examples.append(Example(row["language"], said, abstracted(tokens_of(row["accepted"]), found.names)))
    weights, vocabulary = trained(examples, int(given["epochs"]), int(given["seed"]))
    np.savez_compressed(job.out / "weights.npz", weights=weights.astype(np.float16))
    write_json(job.out / "model.json", {"vocabulary": vocabulary, "marks": given["marks"], "reads": given["reads"]})


if __name__ == "__main__":
    build(task())
