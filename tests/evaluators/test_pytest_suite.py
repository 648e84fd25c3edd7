"""A folder of pytest files as a suite: each test a case, with its segment."""

from __future__ import annotations

from pathlib import Path

from rollcast.stacks.evaluators import SuiteRunner
from rollcast.stacks.evaluators.pytest_suite import PytestEvaluator, PytestSettings
from rollcast.stacks.evaluators.results import result_of
from rollcast.testing.evaluators import EvaluatorConformance

SUITE = """
import json, os, pytest

@pytest.mark.parametrize("n", range(10))
def test_answer(n, record_property):
    record_property("segment", "eu" if n < 4 else "us")
    assert json.load(open(os.environ["ROLLCAST_RELEASE"]))["release"] == "rel-1"
    assert n != 3
"""


class TestPytest(EvaluatorConformance):
    def make(self, tmp_path: Path) -> SuiteRunner:
        return PytestEvaluator(PytestSettings(metric="violation_rate"), tmp_path)

    def suite(self, tmp_path: Path, text: str = SUITE) -> Path:
        (tmp_path / "suite").mkdir()
        (tmp_path / "suite" / "test_answers.py").write_text(text, "utf-8")
        return tmp_path / "suite"

    def broken_suite(self, tmp_path: Path) -> Path:
        return self.suite(tmp_path, "import no_such_module")

    def slow_suite(self, tmp_path: Path) -> Path:
        return self.suite(tmp_path, "import time\ndef test_slow():\n    time.sleep(60)\n")

    def test_failures_are_counted_by_segment(self, tmp_path: Path) -> None:
        found = result_of(self._evaluate(tmp_path, self.suite(tmp_path)), "answers@1")
        counts = found.counts["violation_rate"]
        assert (counts.failures, counts.total) == (1, 10)
        assert (counts.segments["eu"].failures, counts.segments["eu"].total) == (1, 4)
        assert found.metrics == {"pass_rate": 0.9}
