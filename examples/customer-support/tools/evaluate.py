"""Runs a suite on a release, in a process of its own: each case is a question, and the monitor judges the answer.

rollcast runs it (`evaluator: {kind: command}`), with the release and the suite in the environment. Prints JSON: what
part of all cases was answered or refused rightly (`resolved`), what part of the answers no article contradicts
(`grounded`), and what went wrong as counts.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataplane import pipeline
from dataplane.monitor import Monitor
from dataplane.pipeline import Turn
from demos.building import read_lines
from demos.instances import content

RATES = {"violation": "violation_rate", "hallucination": "hallucination_rate", "rejected": "rejection_rate"}


def evaluate(release: dict[str, Any], suite: Path) -> dict[str, Any]:
    """What the suite says of the release."""
    parts = {slot: content(Path(part["content"]), pipeline.LOADERS) for slot, part in release["components"].items()}
    flags, monitor = release.get("flags") or {}, Monitor()
    failures, cases = Counter[str](), read_lines(suite / "cases.jsonl")
    for case in cases:
        found = pipeline.answer(parts, Turn(case["text"]), lambda name: bool(flags.get(name)))
        judged = monitor.judged(found, case)
        failures.update(name for name in RATES if judged[name])
        failures["satisfaction"] += judged["satisfaction"] == 0
    counts = {of: {"failures": failures[name], "total": len(cases)} for name, of in RATES.items()}
    counts["satisfaction"] = {"failures": failures["satisfaction"], "total": len(cases)}
    metrics = {
        "resolved": 1 - failures["satisfaction"] / len(cases),
        "grounded": 1 - failures["hallucination"] / len(cases),
    }
    return {"cases": len(cases), "metrics": metrics, "counts": counts, "judge": "monitor"}


if __name__ == "__main__":
    described = json.loads(Path(os.environ["ROLLCAST_RELEASE"]).read_text("utf-8"))
    print(json.dumps(evaluate(described, Path(os.environ["ROLLCAST_SUITE"]))))
