"""Memory: which cues of the turns before a question are given to the agent. A set of cues may take none."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demos.errors import BrokenMix

_ORDER = re.compile(r"\border (?:number )?(\d+)\b", re.IGNORECASE)
KNOWN = {"topic", "order"}


@dataclass(frozen=True)
class Recalled:
    """What is given to the agent. `topic`: text of the turn that this one follows; `weight`: how much it counts."""

    topic: str = ""
    weight: float = 0.0
    order: str | None = None


@dataclass(frozen=True)
class Cues:
    """`turns`: how many turns back are read; `cues`: what is taken from them; `follows`: what a turn looks like that
    only makes sense with the one before.
    """

    turns: int
    cues: tuple[str, ...]
    topic_weight: float
    follows: re.Pattern[str]

    def recall(self, question: str, turns: Sequence[str]) -> Recalled:
        """What is taken from the customer's turns before."""
        read = turns[-self.turns :] if self.turns else ()
        orders = [found[1] for turn in read if (found := _ORDER.search(turn))]
        order = orders[-1] if orders and "order" in self.cues else None
        if not read or "topic" not in self.cues or not self.follows.search(question):
            return Recalled(order=order)
        topics = [turn for turn in read if not self.follows.search(turn)]
        return Recalled(topics[-1] if topics else read[-1], self.topic_weight, order)


def load(folder: Path) -> Cues:
    """The cues in `folder`. Raises OSError, ValueError, KeyError or BrokenMix."""
    given = json.loads((folder / "cues.json").read_text("utf-8"))
    if unknown := {*given["cues"]} - KNOWN:
        raise BrokenMix(f"Memory has the cues {', '.join(sorted(unknown))}, which are not known. Correct it.")
    try:
        follows = re.compile(given["follows"], re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"'follows' is no regular expression ({error})") from error
    return Cues(int(given["turns"]), tuple(given["cues"]), float(given["topic_weight"]), follows)
