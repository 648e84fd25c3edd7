"""The monitor: whether what is said is true today, and whether it answers. No release can change what it sees.

It reads the newest edition of the articles from the project's folder, whatever index serves, and holds each claim
against it. What a question needs is only known of those that come with it (`wanted`), as those of `load.py` do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataplane.pipeline import Answer
from dataplane.text import sentences, supported

ARTICLES = Path(__file__).resolve().parent.parent / "datasets" / "help-centre-articles"
SHARE = 0.75  # of a claim's words, in one sentence of an article


class Monitor:
    """What is true: every sentence of the newest articles."""

    def __init__(self, articles: Path = ARTICLES) -> None:
        newest = max(articles.glob("*.json"))
        self.true = [line for each in json.loads(newest.read_text("utf-8")) for line in sentences(each["text"])]

    def unsupported(self, found: Answer) -> bool:
        """Whether an answer says something that no article says today."""
        return any(not any(supported(claim.text, line, SHARE) for line in self.true) for claim in found.claims)

    def judged(self, found: Answer, wanted: Mapping[str, Any] | None) -> dict[str, Any]:
        """What goes into the outcome of a turn: never words, only what was measured of them.

        `rejected` and `violation` need to know what is wanted: a question that may not be answered is refused rightly.
        """
        outcome: dict[str, Any] = {"hallucination": self.unsupported(found), "handed_over": found.handed_over}
        if wanted is not None:
            may = "refuse" not in wanted
            said = " ".join(claim.text for claim in found.claims)
            right = wanted["fact"].lower() in said.lower() and not outcome["hallucination"] if may else not found.claims
            outcome |= {
                "rejected": found.refused and may,
                "violation": not may and bool(found.claims),
                "satisfaction": float(right),
            }
        return outcome
