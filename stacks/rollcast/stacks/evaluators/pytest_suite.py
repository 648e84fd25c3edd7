"""`kind: pytest`: the suite is a folder of pytest files, each test a case.

A test reads the release from ROLLCAST_RELEASE (see `process`); `record_property("segment", "eu")` says which segment of
the traffic its case stands for.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.evaluators.junit import CaseSettings, counts_of_junit
from rollcast.stacks.evaluators.process import run_suite


class PytestSettings(CaseSettings):
    """How pytest is run."""

    arguments: tuple[str, ...] = Field((), description="further arguments of pytest")


class PytestEvaluator:
    """pytest, in a process of its own."""

    settings_model = PytestSettings

    def __init__(self, settings: PytestSettings, root: Path) -> None:
        self.settings, self.root = settings, root

    def evaluate(
        self,
        release: Mapping[str, Any],
        suite: Path,
        endpoints: Sequence[str],
        timeout_s: float,
        stopped: Callable[[], bool],
    ) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "results.xml"
            argv = [
                sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(suite.resolve()),
                f"--junitxml={results}", "-o", "junit_family=xunit2", *self.settings.arguments, str(suite.resolve()),
            ]  # fmt: skip
            run_suite(argv, self.root, release, suite, endpoints, timeout_s, stopped, expected=(0, 1))
            try:
                found = counts_of_junit(results.read_text("utf-8"), self.settings.metric)
            except OSError as error:
                raise StackError(f"pytest wrote no results ({error.strerror}). Correct the suite.") from None
        return self.settings.judged(found)


__all__ = ["PytestEvaluator", "PytestSettings"]
