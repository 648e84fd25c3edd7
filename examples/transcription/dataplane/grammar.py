"""The language-model policy: which sentences may be heard, and what of them may leave for whom.

A sentence that the grammar does not have can't be transcribed right: that is the price of a model this small.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MASK = "•"


@dataclass(frozen=True)
class Grammar:
    """Sentences as a grammar in JSGF, and those whose digits are somebody's telephone number."""

    jsgf: str
    digits: frozenset[str]
    private: tuple[str, ...]

    def masked(self, transcript: str) -> str:
        """The transcript without the digits of a telephone number."""
        if not transcript.startswith(self.private):
            return transcript
        return " ".join(MASK if word in self.digits else word for word in transcript.split())


def load(folder: Path) -> Grammar:
    """The grammar in `folder`. Raises OSError, ValueError or KeyError."""
    data = json.loads((folder / "grammar.json").read_text("utf-8"))
    return Grammar(
        _jsgf(data["classes"], data["sentences"]),
        frozenset(word for name in data["digits"] for word in data["classes"][name]),
        tuple(data["private"]),
    )


def _jsgf(classes: dict[str, Sequence[str]], sentences: Sequence[str]) -> str:
    rules = [f"<{name}> = {' | '.join(words)} ;" for name, words in classes.items()]
    spoken = " | ".join(re.sub(r"\{([a-z_]+)\}", r"<\1>", each) for each in sentences)
    return "\n".join(("#JSGF V1.0;", "grammar calls;", *rules, f"public <call> = {spoken} ;", ""))
