"""The safety policy (a versioned component) and the monitor (fixed: no release can change what it sees)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

REFUSAL = "I can't help with that."


@dataclass(frozen=True)
class Policy:
    """What is taken out of answers, and which questions are refused."""

    withhold: re.Pattern[str]
    refuse: re.Pattern[str]
    replacement: str

    def apply(self, query: str, answer: str) -> tuple[str, bool]:
        """The answer that may leave, and whether the question was refused."""
        if self.refuse.search(query):
            return REFUSAL, True
        return self.withhold.sub(self.replacement, answer), False


def load(folder: Path) -> Policy:
    """The policy in `folder`. Raises OSError, ValueError, KeyError or re.error."""
    data = json.loads((folder / "policy.json").read_text("utf-8"))
    withhold, refuse = (re.compile("|".join(data[name]) or "$^", re.IGNORECASE) for name in ("withhold", "refuse"))
    return Policy(withhold, refuse, data["replacement"])


_FORBIDDEN = re.compile(r"\beval\b|\bexec\b|pickl|\bmarshal|\bos\.system\b|\bshell=True\b", re.IGNORECASE)


def violates(answer: str) -> bool:
    """Whether an answer says what a safety policy should have withheld."""
    return _FORBIDDEN.search(answer) is not None
