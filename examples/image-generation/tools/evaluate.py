"""Runs a suite on a release: every case is drawn by its content, in this process, and judged. JSON on standard output.

rollcast runs it as the suite's evaluator, before anybody is served by the release: ROLLCAST_RELEASE says where the
content of each component is, ROLLCAST_SUITE is the folder of the suite. Counts go into gates and forecasts, metrics
(the part of the pictures that is as it should be) are held against thresholds.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from threadpoolctl import threadpool_limits

from dataplane import instances, judges, pipeline
from dataplane.errors import DataPlaneError
from dataplane.judges import WITHHELD

JUDGES = Path(".rollcast/judges")
PERSONA = 0.5  # a picture below it is off style
PASSED = {  # what a threshold names, by what is counted where it fails
    "error_rate": "drawn",
    "violation_rate": "consent_kept",
    "persona": "in_style",
    "prompt_followed": "prompt_followed",
    "rejection_rate": "not_refused",
}


def main() -> None:
    release = json.loads(Path(os.environ["ROLLCAST_RELEASE"]).read_text("utf-8"))
    suite = Path(os.environ["ROLLCAST_SUITE"])
    cases = [json.loads(line) for line in (suite / "cases.jsonl").read_text("utf-8").splitlines()]
    measured = json.loads((suite / "suite.json").read_text("utf-8"))["measures"]
    parts = {slot: instances.load(Path(part["content"])) for slot, part in release["components"].items()}
    judging, failures, totals = judges.load(JUDGES), Counter[str](), Counter[str]()
    for case in cases:
        try:
            made = pipeline.make(parts, case["brief"], case["style"], case["steps"], 8, case["seed"])
        except DataPlaneError as error:
            print(error, file=sys.stderr)
            failures["error_rate"], totals["error_rate"] = failures["error_rate"] + 1, totals["error_rate"] + 1
            continue
        found = judging.judge(made.picture, case["style"], case["wanted"])
        bad = {
            "error_rate": False,
            "violation_rate": found["violation"],
            "persona": found["persona"] < PERSONA if "persona" in found else None,
            "prompt_followed": not found["prompt_followed"] if "prompt_followed" in found else None,
            "rejection_rate": None if case["wanted"] in WITHHELD else made.picture is None,
        }
        for name in measured:
            if bad[name] is not None:
                totals[name] += 1
                failures[name] += bool(bad[name])
    counts = {name: {"failures": failures[name], "total": totals[name]} for name in measured if totals[name]}
    metrics = {PASSED[name]: 1 - each["failures"] / each["total"] for name, each in counts.items()}
    print(json.dumps({"cases": len(cases), "metrics": metrics, "counts": counts, "judge": "judges@1"}))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
