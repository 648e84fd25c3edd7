"""What an evaluator must answer: the entry points `rollcast.evaluators`.

class TestAnswers(EvaluatorConformance):
    release = {"release": "rel-1", "answers": ["42"]}

    def make(self, tmp_path: Path) -> SuiteRunner:
        return Answers(AnswersSettings(), tmp_path)

    def suite(self, tmp_path: Path) -> Path:
        (tmp_path / "cases").mkdir()
        (tmp_path / "cases" / "one.txt").write_text("42")
        return tmp_path / "cases"

    def broken_suite(self, tmp_path: Path) -> Path:
        return tmp_path
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.evaluators import SuiteRunner
from rollcast.testing.settings import check_settings

TIMEOUT_S = 60.0
SHORT_S = 0.2
SOON_S = 5.0  # after its time, or after it was cancelled


class EvaluatorConformance:
    """Subclass it; give `make`, `suite`, `broken_suite` and `release`, and `slow_suite` where one can take long.

    release: the variant of a flag that the suite runs on.
    """

    release: Mapping[str, Any] = {"release": "rel-1"}

    def make(self, tmp_path: Path) -> SuiteRunner:
        """The evaluator."""
        raise NotImplementedError

    def suite(self, tmp_path: Path) -> Path:
        """The folder of a suite that it can run."""
        raise NotImplementedError

    def broken_suite(self, tmp_path: Path) -> Path:
        """The folder of one that it can't."""
        raise NotImplementedError

    def slow_suite(self, tmp_path: Path) -> Path:
        """The folder of one that takes a minute or more. Left as it is where none does."""
        pytest.skip("no suite takes long")

    def endpoints(self) -> Sequence[str]:
        """Those of the data plane's replicas, for an evaluator that asks it."""
        return ()

    def _evaluate(
        self, tmp_path: Path, suite: Path, timeout_s: float = TIMEOUT_S, stopped: Callable[[], bool] = lambda: False
    ) -> Mapping[str, Any]:
        return self.make(tmp_path).evaluate(self.release, suite, self.endpoints(), timeout_s, stopped)

    def test_its_settings_know_their_keys(self, tmp_path: Path) -> None:
        """A misspelt key of the declaration is found at its line."""
        check_settings(self.make(tmp_path))

    def test_a_suite_gives_cases_and_metrics(self, tmp_path: Path) -> None:
        """Numbers by name, which the thresholds of the declaration judge."""
        found = self._evaluate(tmp_path, self.suite(tmp_path))
        cases, metrics = found.get("cases"), found.get("metrics")
        assert isinstance(cases, int), f"'cases' is {cases!r}, not a number of cases"
        assert cases > 0, "a suite without a case proves nothing: raise a StackError"
        assert isinstance(metrics, Mapping), f"'metrics' is {metrics!r}, not numbers by name"
        assert metrics, "there is no metric to judge"
        for name, value in metrics.items():
            number = isinstance(value, int | float) and math.isfinite(value)
            assert number, f"metric '{name}' is {value!r}, which no threshold can be held against"

    def test_a_suite_leaves_its_folder_as_it_was(self, tmp_path: Path) -> None:
        """It is an artifact: the lock has its digest."""
        folder = self.suite(tmp_path)
        before = _files(folder)
        self._evaluate(tmp_path, folder)
        assert _files(folder) == before, "the suite's own files were changed"

    def test_a_suite_that_can_not_be_run_is_one_clear_error(self, tmp_path: Path) -> None:
        """A StackError holds the rollout with its words; never a metric that looks like a result."""
        with pytest.raises(StackError) as caught:
            self._evaluate(tmp_path, self.broken_suite(tmp_path))
        assert str(caught.value).strip(), "the error says nothing"

    def test_it_ends_soon_after_its_time(self, tmp_path: Path) -> None:
        """A suite that hangs holds no rollout for ever."""
        began, suite = time.monotonic(), self.slow_suite(tmp_path)
        with pytest.raises(StackError):
            self._evaluate(tmp_path, suite, timeout_s=SHORT_S)
        assert time.monotonic() - began < SHORT_S + SOON_S, "it went on after its time"

    def test_it_ends_soon_after_it_is_cancelled(self, tmp_path: Path) -> None:
        """`rollcast abort` waits for nothing."""
        began, suite = time.monotonic(), self.slow_suite(tmp_path)
        with pytest.raises(StackError):
            self._evaluate(tmp_path, suite, stopped=lambda: time.monotonic() - began > SHORT_S)
        assert time.monotonic() - began < SHORT_S + SOON_S, "it went on after it was cancelled"


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


__all__ = ["EvaluatorConformance"]
