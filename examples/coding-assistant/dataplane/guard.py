"""The guard: completions that hold a credential of a known form do not leave."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Guard:
    """The forms that a version knows."""

    patterns: tuple[re.Pattern[str], ...]

    def withholds(self, completion: str) -> bool:
        """Whether a completion must not leave."""
        return any(pattern.search(completion) for pattern in self.patterns)


def load(folder: Path) -> Guard:
    """The guard in `folder`. Raises OSError, ValueError or KeyError."""
    forms = json.loads((folder / "guard.json").read_text("utf-8"))["patterns"]
    try:
        return Guard(tuple(re.compile(form) for form in forms))
    except re.error as error:
        raise ValueError(f"a pattern is no regular expression ({error})") from error
