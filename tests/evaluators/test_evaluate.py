"""Suites on fixed releases: run once, kept in the ledger, cited by plan and forecast, taken by apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.main import main
from rollcast.planner.declaration.models import Evaluate, Evaluation, Evaluator
from rollcast.planner.plan.models import Plan, SuiteFinding
from rollcast.stacks.base.formats import FORMAT
from rollcast.stacks.evaluators.results import SuiteResult
from rollcast.stacks.ledger.evaluations import EvaluatedBody, KnownResult, evaluator_digest, known

DECLARATION = """\
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: model-weights, name: bot, version: "1", source: "file:m/1.txt"}
  - {kind: model-weights, name: bot, version: "2", source: "file:m/2.txt"}
  - {kind: dataset, name: cases, version: "1", source: "file:m/cases.txt"}
  - {kind: evaluation-suite, name: answers, version: "1", source: "file:suite", derived_from: [cases@1]}
components:
  generator: {artifact: bot@1}
environments:
  dev: {development: true}
rollout:
  percent: [100]
  bake: {min: 0s, max: 1s, then: advance}
  evaluate:
    - suite: answers@1
      thresholds: {pass_rate: 0.7}
      evaluator: {kind: pytest, metric: violation_rate, judge: exact@1}
  gates: [{metric: violation_rate, margin: 0.02}]
"""
SUITE = """
import json, os, pathlib, pytest

GENERATOR = json.load(open(os.environ["ROLLCAST_RELEASE"]))["components"]["generator"]
TEXT = next(pathlib.Path(GENERATOR["content"]).glob("*.txt")).read_text()

def test_once():
    with open("ran.txt", "a") as file:
        file.write(GENERATOR["artifact"] + "\\n")

@pytest.mark.parametrize("n", range(19))
def test_answer(n, record_property):
    record_property("segment", "eu" if n % 2 else "us")
    assert "right" in TEXT or n != 3
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("m", "suite"):
        (tmp_path / name).mkdir()
    (tmp_path / "m" / "1.txt").write_text("right", "utf-8")
    (tmp_path / "m" / "2.txt").write_text("nearly", "utf-8")
    (tmp_path / "m" / "cases.txt").write_text("cases", "utf-8")
    (tmp_path / "suite" / "test_answers.py").write_text(SUITE, "utf-8")
    (tmp_path / "rollcast.yaml").write_text(DECLARATION, "utf-8")
    assert main(["-C", str(tmp_path), "lock"]) == 0
    return tmp_path


def edit(project: Path, old: str, new: str) -> None:
    path = project / "rollcast.yaml"
    assert old in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")


def ran(project: Path) -> list[str]:
    """What the suite was run on, each time."""
    path = project / "ran.txt"
    return path.read_text("utf-8").splitlines() if path.exists() else []


def run(project: Path, *arguments: str) -> int:
    return main(["-C", str(project), *arguments])


def planned(project: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run(project, "plan", "--format", "json") in (0, 3)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_same_suite_on_the_same_release_is_not_paid_for_twice(project: Path) -> None:
    assert run(project, "evaluate") == 0
    assert run(project, "evaluate") == 0
    assert ran(project) == ["bot@1"]
    assert run(project, "evaluate", "--again") == 0
    assert ran(project) == ["bot@1", "bot@1"]
    edit(project, "{artifact: bot@1}", "{artifact: bot@2}")
    assert run(project, "evaluate", "--suite", "answers") == 0
    assert ran(project)[2:] == ["bot@2"]


def test_the_plan_cites_what_was_found_by_segment_and_judge(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(project, capsys).get("evaluations") is None
    assert run(project, "evaluate") == 0
    [found] = planned(project, capsys)["evaluations"]
    assert (found["suite"], found["judge"], found["stale"], found["cases"]) == ("answers@1", "exact@1", "", 20)
    assert found["counts"]["violation_rate"]["segments"]["eu"] == {"failures": 0, "total": 9}
    assert run(project, "plan") in (0, 3)
    assert "violation_rate 0 of 20, judged by exact@1; not run again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("exact@1", "exact@2", "who judges it"),
        ('name: cases, version: "1"', 'name: cases, version: "2"', "its dataset was cases@1, and is cases@2"),
    ],
)
def test_another_judge_or_dataset_makes_a_result_stale_and_it_is_run_again(
    project: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, why: str
) -> None:
    assert run(project, "evaluate") == 0
    edit(project, old, new)
    if "cases" in new:
        edit(project, "[cases@1]", "[cases@2]")
        assert run(project, "lock") == 0
    [found] = planned(project, capsys)["evaluations"]
    assert why in found["stale"]
    assert run(project, "evaluate") == 0
    assert len(ran(project)) == 2


def test_a_release_below_its_threshold_ends_non_zero_and_is_kept(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(project, "pass_rate: 0.7", "pass_rate: 0.99")
    edit(project, "{artifact: bot@1}", "{artifact: bot@2}")
    assert run(project, "evaluate") == 1
    assert "pass_rate is 0.95 on answers@1, at least 0.99 is wanted" in capsys.readouterr().err
    assert planned(project, capsys)["evaluations"][0]["counts"]["violation_rate"]["failures"] == 1
    assert run(project, "evaluate", "--release", "rel-0") == 1
    assert "'rel-0' is not what is declared now" in capsys.readouterr().err
    assert run(project, "evaluate", "--suite", "other") == 1
    assert "No such suite is declared" in capsys.readouterr().err


@pytest.mark.engine
def test_apply_runs_a_suite_once_and_takes_what_was_found_before(project: Path) -> None:
    assert run(project, "apply", "--auto-approve") == 0
    assert ran(project) == ["bot@1"]
    edit(project, "{artifact: bot@1}", "{artifact: bot@2}")
    edit(project, "  gates: [{metric: violation_rate, margin: 0.02}]\n", "")
    assert run(project, "evaluate") == 0
    assert run(project, "apply", "--auto-approve") == 0
    assert ran(project) == ["bot@1", "bot@2"], "apply took what 'rollcast evaluate' had found"


def test_a_vendor_that_serves_something_else_is_shown_before_anyone_is_served_by_it(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(project, 'version: "1", source: "file:m/1.txt"', 'version: "1", source: "vendor:example/bot-2026-05-01"')
    edit(project, "kind: pytest, metric: violation_rate, judge: exact@1", "kind: command, run: [python, ask.py]")
    for answered, code in (("bot-2026-05-01", 0), ("bot-2026-06-01", 1)):
        result = {"cases": 1, "metrics": {"pass_rate": 1.0}, "served_by": {"generator": answered}}
        (project / "ask.py").write_text(f"print({json.dumps(json.dumps(result))})", "utf-8")
        assert run(project, "lock") == 0
        capsys.readouterr()
        assert run(project, "evaluate", "--again") == code
    assert (
        "generator was served by bot-2026-06-01, and vendor:example/bot-2026-05-01 is declared"
        in capsys.readouterr().err
    )


# ---- what a result stands for -------------------------------------------------------------------


words = st.sampled_from(["a", "b"])


@given(words, words, words, words, words, words, words)
def test_a_result_holds_for_one_release_suite_content_and_judge(
    release: str, suite: str, judge: str, now: str, now_suite: str, now_judge: str, dataset: str
) -> None:
    def evaluate(judge: str) -> Evaluate:
        return Evaluate(
            suite="s@1", thresholds={}, evaluator=Evaluator.model_validate({"kind": "pytest", "judge": judge})
        )

    body = EvaluatedBody(
        release=release, suite="s@1", suite_digest=suite, evaluator=evaluator_digest(evaluate(judge)), made_from=["a"],
        result=SuiteResult(cases=1, metrics={"m": 1.0}),
    )  # fmt: skip
    assert body.format == FORMAT
    found = known([KnownResult(body, 0.0)], now, evaluate(now_judge), now_suite, [dataset])
    assert (found is None) == (release != now)
    if found is not None:
        assert (found.stale == "") == ((suite, judge) == (now_suite, now_judge))


def test_what_a_suite_found_on_the_whole_release_stands_for_it_in_place_of_its_artifacts(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan.from_json(planned(project, capsys))
    [release] = plan.to_release.values()
    assert plan.counts_of(release, "violation_rate") == {}
    counts = {"violation_rate": Evaluation(failures=3, total=100)}
    finding = SuiteFinding(release=release, suite="answers@1", measured="2026-11-01", cases=100, counts=counts)
    cited = plan.model_copy(update={"evaluations": (finding,)})
    assert cited.counts_of(release, "violation_rate") == {f"{release} on answers@1": counts["violation_rate"]}
    assert cited.digest == plan.digest, "who measured it is no part of what is done"
    stale = plan.model_copy(update={"evaluations": (finding.model_copy(update={"stale": "old"}),)})
    assert stale.counts_of(release, "violation_rate") == {}


def test_a_forecast_draws_from_what_was_found(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z,10,10\n" for second in range(600))
    (project / "traffic").mkdir()
    (project / "traffic" / "hour.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}", "utf-8")

    def assumptions() -> str:
        capsys.readouterr()
        assert run(project, "simulate", "--runs", "2", "--format", "json") in (0, 3)
        return " ".join(json.loads(capsys.readouterr().out)["assumptions"])

    assert "violation_rate: no evaluation counts at all" in assumptions()
    assert run(project, "evaluate") == 0
    assert "on answers@1 0 of 20" in assumptions()
