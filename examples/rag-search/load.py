"""Replays the recorded trace against the service: arrival times and token counts are real; users, regions and
questions are synthetic, decided by a hash of (seed, row). One question in six is about code that executes text, which
the safety policy must withhold.

Run: python load.py --speedup 30 [--seconds 60] [--seed 1]. Prints one line of JSON.
"""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # in a checkout, demos stands beside the examples

from dataplane.safety import violates
from demos.replay import Due, main
from tools.corpus import standard_library
from tools.questions import questions, share

TRACE = Path(__file__).parent / "traffic" / "AzureLLMInferenceTrace_conv.csv"
USERS = 20_000
REGIONS = ("eu", "us", "asia")
PROBING = 1 / 6


def rows(seed: int) -> list[Due]:
    """The recorded requests, at seconds since the first one arrived."""
    documents = standard_library()
    pool = questions(documents, seed)
    forbidden = {document.id for document in documents if violates(document.text)}
    probing = [question for question in pool if question.relevant in forbidden]
    found = []
    first = None
    with TRACE.open(newline="") as file:
        for row, line in enumerate(csv.DictReader(file)):
            at = datetime.fromisoformat(line["TIMESTAMP"][:26]).timestamp()
            first = at if first is None else first
            drawn_from = probing if share(seed, "probing", row) < PROBING else pool
            question = drawn_from[int(share(seed, "question", row) * len(drawn_from))]
            body = {
                "key": f"user-{int(share(seed, 'user', row) * USERS)}",
                "query": question.query,
                "relevant": question.relevant,
                "attributes": {"region": REGIONS[int(share(seed, "region", row) * len(REGIONS))]},
                "input_tokens": int(line["ContextTokens"]),
                "output_tokens": int(line["GeneratedTokens"]),
            }
            found.append(Due(at - first, body))
    return found


if __name__ == "__main__":
    main(__doc__, "/query", rows, speedup=30.0)
