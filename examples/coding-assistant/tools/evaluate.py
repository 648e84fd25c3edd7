"""Runs a suite on a release, in a process of its own: each case is completed, and its tests are run in the sandbox.

rollcast runs it (`evaluator: {kind: command}`), with the release and the suite in the environment. Prints JSON: what
part of all cases was solved, and those that failed in each language as counts.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataplane import monitor, pipeline
from dataplane.sandbox import Sandbox
from dataplane.service import cursor_of, tests_of
from demos.building import read_lines
from demos.instances import content


def evaluate(release: dict[str, Any], suite: Path) -> dict[str, Any]:
    """What the suite says of the release."""
    parts = {slot: content(Path(part["content"]), pipeline.LOADERS) for slot, part in release["components"].items()}
    failures, totals, sandbox = Counter[str](), Counter[str](), Sandbox()
    for case in read_lines(suite / "cases.jsonl"):
        cursor = cursor_of(case)
        found = monitor.judged(pipeline.complete(parts, cursor), cursor, None, tests_of(case), sandbox)
        for name, bad in found.items():
            totals[name] += 1
            failures[name] += bad
    sandbox.stop()
    counts: dict[str, Any] = {
        name: {"failures": failures[name], "total": totals[name]} for name in totals if name != "violation"
    }
    metrics = {"solved": 1 - failures["failed"] / totals["failed"]}
    return {"cases": totals["failed"], "metrics": metrics, "counts": counts, "judge": "sandbox"}


if __name__ == "__main__":
    described = json.loads(Path(os.environ["ROLLCAST_RELEASE"]).read_text("utf-8"))
    print(json.dumps(evaluate(described, Path(os.environ["ROLLCAST_SUITE"]))))
