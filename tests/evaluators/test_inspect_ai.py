"""A task of Inspect as a suite, run by Inspect itself."""

from __future__ import annotations

from pathlib import Path

from rollcast.planner.declaration.models import Price
from rollcast.stacks.evaluators import SuiteRunner
from rollcast.stacks.evaluators.inspect_ai import InspectEvaluator, InspectSettings
from rollcast.stacks.evaluators.results import result_of
from rollcast.testing.evaluators import EvaluatorConformance

TASK = """
import json, os
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput
from inspect_ai.scorer import match
from inspect_ai.solver import solver

RELEASE = json.load(open(os.environ["ROLLCAST_RELEASE"]))["release"]

@solver
def ask():
    async def solve(state, generate):
        state.output = ModelOutput.from_content("release", RELEASE)
        return state
    return solve

@task
def answers():
    samples = [Sample(input="who", target=target, metadata={"segment": segment})
               for target, segment in (("rel-1", "eu"), ("rel-2", "eu"), ("rel-1", "us"), ("rel-1", "us"))]
    return Task(dataset=samples, solver=ask(), scorer=match())
"""


class TestInspect(EvaluatorConformance):
    def make(self, tmp_path: Path) -> SuiteRunner:
        settings = InspectSettings(metric="violation_rate", seed=7, price=Price(usd_per_request=0.5))
        return InspectEvaluator(settings, tmp_path)

    def suite(self, tmp_path: Path, text: str = TASK) -> Path:
        (tmp_path / "suite").mkdir()
        (tmp_path / "suite" / "task.py").write_text(text, "utf-8")
        return tmp_path / "suite"

    def broken_suite(self, tmp_path: Path) -> Path:
        return self.suite(tmp_path, "import no_such_module")

    def slow_suite(self, tmp_path: Path) -> Path:
        return self.suite(tmp_path, "import time\ntime.sleep(60)\n")

    def test_its_log_is_the_result(self, tmp_path: Path) -> None:
        found = result_of(self._evaluate(tmp_path, self.suite(tmp_path)), "answers@1")
        counts = found.counts["violation_rate"]
        assert (counts.failures, counts.total) == (1, 4)
        assert (counts.segments["eu"].failures, counts.segments["us"].failures) == (1, 0)
        assert found.metrics["match_accuracy"] == found.metrics["pass_rate"] == 0.75
        assert (found.judge, found.seeds, found.cost_usd) == ("match", [7], 2.0)
