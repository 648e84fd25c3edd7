"""`kind: answers`: a suite is a folder of words; the metric is how many of them a release names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rollcast.plugins.settings import Settings
from rollcast.stacks.base.errors import StackError


class AnswersSettings(Settings):
    """Which files of the suite are cases."""

    pattern: str = "*.txt"


class Answers:
    """Every case passes whose text names an artifact of the release."""

    settings_model = AnswersSettings

    def __init__(self, settings: AnswersSettings, root: Path) -> None:
        self._pattern = settings.pattern

    def evaluate(
        self,
        release: Mapping[str, Any],
        suite: Path,
        endpoints: Sequence[str],
        timeout_s: float,
        stopped: Callable[[], bool],
    ) -> Mapping[str, Any]:
        cases = [path.read_text("utf-8").strip() for path in sorted(suite.glob(self._pattern))]
        if not cases:
            raise StackError(f"{suite} has no {self._pattern}. Put a case there.")
        passed = sum(case in str(release) for case in cases)
        return {"cases": len(cases), "metrics": {"passed": passed / len(cases)}}
