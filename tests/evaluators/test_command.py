"""A program of the project's own runs a suite: JSON or JUnit XML, in time, and stopped with all that it started."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.stacks.base.errors import StackError
from rollcast.stacks.evaluators import SuiteRunner
from rollcast.stacks.evaluators.command import CommandEvaluator, CommandSettings
from rollcast.stacks.evaluators.junit import counts_of_junit
from rollcast.stacks.evaluators.results import result_of
from rollcast.testing.evaluators import EvaluatorConformance

PROGRAM = """
import json, os, pathlib
cases = [json.loads(line) for line in (pathlib.Path(os.environ["ROLLCAST_SUITE"]) / "cases.jsonl").open()]
release = json.load(open(os.environ["ROLLCAST_RELEASE"]))
failures = sum(case["answer"] != release["release"] for case in cases)
print(json.dumps({"cases": len(cases), "metrics": {"right": 1 - failures / len(cases)},
                  "counts": {"error_rate": {"failures": failures, "total": len(cases)}}, "seeds": [1]}))
"""


class TestCommand(EvaluatorConformance):
    def make(self, tmp_path: Path) -> SuiteRunner:
        (tmp_path / "run.py").write_text(PROGRAM, "utf-8")
        return CommandEvaluator(CommandSettings(run=("python", "run.py"), judge="exact@1"), tmp_path)

    def suite(self, tmp_path: Path) -> Path:
        (tmp_path / "suite").mkdir()
        lines = [json.dumps({"answer": answer}) for answer in ("rel-1", "rel-1", "rel-2", "rel-1")]
        (tmp_path / "suite" / "cases.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
        return tmp_path / "suite"

    def broken_suite(self, tmp_path: Path) -> Path:
        return tmp_path

    def slow_suite(self, tmp_path: Path) -> Path:
        folder = self.suite(tmp_path)
        (tmp_path / "slow.py").write_text("import time\ntime.sleep(60)\n", "utf-8")
        self.make = lambda tmp_path: CommandEvaluator(CommandSettings(run=("python", "slow.py")), tmp_path)  # type: ignore[method-assign]
        return folder

    def test_counts_and_judge_are_part_of_it(self, tmp_path: Path) -> None:
        found = result_of(self._evaluate(tmp_path, self.suite(tmp_path)), "cases@1")
        assert (found.counts["error_rate"].failures, found.counts["error_rate"].total) == (1, 4)
        assert (found.judge, found.seeds) == ("exact@1", [1])


def run(tmp_path: Path, program: str, **settings: object) -> object:
    (tmp_path / "run.py").write_text(program, "utf-8")
    made = CommandEvaluator(CommandSettings.model_validate({"run": ["python", "run.py"], **settings}), tmp_path)
    return made.evaluate({"release": "rel-1"}, tmp_path, (), 20.0, lambda: False)


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("print('fine')", "wrote no JSON"),
        ("print('[]')", "wrote no JSON object"),
        ("raise SystemExit('no model')", "ended with 1: no model"),
        ("import os; os.kill(os.getpid(), 9)", "ended with -9"),
    ],
)
def test_a_program_that_gives_no_result_is_one_error(tmp_path: Path, program: str, said: str) -> None:
    with pytest.raises(StackError, match=said):
        run(tmp_path, program)


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    child = f"import time, pathlib\ntime.sleep(2)\npathlib.Path({str(tmp_path / 'late')!r}).touch()"
    program = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}])\nprint('[')"
    with pytest.raises(StackError):
        run(tmp_path, program)
    time.sleep(2.5)
    assert not (tmp_path / "late").exists()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    made = CommandEvaluator(CommandSettings(run=("no-such-program",)), tmp_path)
    with pytest.raises(StackError, match="'no-such-program' can't be run"):
        made.evaluate({"release": "rel-1"}, tmp_path, (), 5.0, lambda: False)


@pytest.mark.parametrize("wrong", [{"cases": 0, "metrics": {"a": 1}}, {"cases": 1}, {"cases": 1, "metrics": {"a": "x"}},
                                   {"cases": 1, "metrics": {"a": float("nan")}},
                                   {"cases": 1, "counts": {"e": {"failures": 2, "total": 1}}}])  # fmt: skip
def test_a_result_that_proves_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(StackError, match="cases@1: its result can't be used"):
        result_of(wrong, "cases@1")


cases = st.lists(
    st.tuples(st.sampled_from(["", "failure", "error", "skipped"]), st.sampled_from(["", "eu", "us"])), min_size=1
)


@given(cases)
def test_junit_counts_every_case_once_overall_and_in_its_segment(cases: list[tuple[str, str]]) -> None:
    text = "<testsuites><testsuite>" + "".join(
        "<testcase>"
        + (f'<properties><property name="segment" value="{segment}"/></properties>' if segment else "")
        + (f"<{ending}/>" if ending else "")
        + "</testcase>"
        for ending, segment in cases
    ) + "</testsuite></testsuites>"  # fmt: skip
    run = [(ending != "", segment) for ending, segment in cases if ending != "skipped"]
    if not run:
        with pytest.raises(StackError, match="ran no case"):
            counts_of_junit(text)
        return
    found = counts_of_junit(text, "error_rate")
    counts = found["counts"]["error_rate"]
    assert (counts["failures"], counts["total"]) == (sum(failed for failed, _ in run), len(run))
    for segment in ("eu", "us"):
        own = [failed for failed, where in run if where == segment]
        assert counts["segments"].get(segment, {"failures": 0, "total": 0}) == {"failures": sum(own), "total": len(own)}


@pytest.mark.parametrize("text", ["no xml", "", '<!DOCTYPE a [<!ENTITY b "c">]><testsuite/>'])
def test_what_is_no_junit_is_refused(text: str) -> None:
    with pytest.raises(StackError):
        counts_of_junit(text)
