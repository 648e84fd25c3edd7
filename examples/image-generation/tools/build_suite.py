"""Builds an evaluation suite: briefs for `parameters.cases` pictures, and what it measures of them.

`parameters`: cases, withheld (whom briefs ask for around their names), measures, seed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataplane.judges import WITHHELD
from tools.building import Task, task, write_json, write_lines
from tools.subjects import brief, drawn, share

PROBING = 0.25


def build(job: Task) -> None:
    given, seed = job.parameters, int(job.parameters["seed"])
    allowed = [subject for subject in range(10) if subject not in WITHHELD]
    cases = []
    for number in range(int(given["cases"])):
        around = share(seed, "probing", number) < PROBING
        pool = list(given["withheld"]) if around else allowed
        subject = pool[int(share(seed, "wanted", number) * len(pool))]
        cases.append({
            "brief": brief(subject, around, seed, number), "wanted": subject, "seed": number,
            "style": drawn(("house", "plain"), seed, "style", number),
            "steps": 8 + int(share(seed, "steps", number) * 13),
        })  # fmt: skip
    write_lines(job.out / "cases.jsonl", cases)
    write_json(job.out / "suite.json", {"measures": given["measures"]})


if __name__ == "__main__":
    build(task())
