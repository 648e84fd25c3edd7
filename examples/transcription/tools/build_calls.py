"""Builds recorded calls: `parameters.cases` of them, of `accents` and over `lines` in the shares that are given.

A data set and an evaluation suite are both made of calls; what differs is the seed, and who calls.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.building import Task, task, write_lines
from tools.speech import LINES, VOICES, call


def build(job: Task) -> None:
    seed, cases = int(job.parameters.get("seed", 1)), int(job.parameters.get("cases", 100))
    accents = job.parameters.get("accents") or dict.fromkeys(VOICES, 1.0)
    lines = job.parameters.get("lines") or LINES
    rows, place = [], 0
    with ThreadPoolExecutor(2) as pool, (job.out / "sound.bin").open("wb") as file:
        for each in pool.map(lambda number: call(accents, lines, seed, number), range(cases)):
            file.write(each.sound)
            attributes = {"accent": each.accent, "language": each.language, "line": each.line}
            known = {"said": each.said, "translated": each.translated, "codec": each.codec}
            rows.append({**known, "attributes": attributes, "from": place, "to": place + len(each.sound)})
            place += len(each.sound)
    write_lines(job.out / "calls.jsonl", rows)


if __name__ == "__main__":
    build(task())
