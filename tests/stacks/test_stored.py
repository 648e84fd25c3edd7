"""Files that rollcast 0.1.0 wrote, before anything in them said its format, are read by every command of today.

`stored/project` was written by the commands themselves: version 1 was applied, a plan to version 2 was saved and
forecast, carried out up to its 50 % stage, and paused. `dot-rollcast` stands there for `.rollcast`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rollcast.cli.inputs.plans import read_plan
from rollcast.cli.main import main
from rollcast.simulator.forecast.models import Forecast
from tests.commands import run_here

STORED = Path(__file__).parent / "stored" / "project"
FIRST, SECOND = "rel-bb2eaae17254", "rel-edfe7da12f35"
PROMOTED, UNDER_WAY = "ro-1b2f65b368e0", "ro-8130f69754d1"


def unpacked(folder: Path) -> Path:
    """A copy of the stored project, in a folder."""
    project = folder / "project"
    shutil.copytree(STORED, project)
    (project / "dot-rollcast").rename(project / ".rollcast")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the stored project."""
    return unpacked(tmp_path)


def answer_of(project: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    """What a command answers as JSON."""
    code = main(["-C", str(project), *words, "--format", "json"])
    said = capsys.readouterr()
    assert code == 0, said
    return json.loads(said.out)


def test_its_history_is_whole(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = answer_of(project, capsys, "history")
    assert [(one["id"], one["outcome"]) for one in history["rollouts"]] == [(UNDER_WAY, None), (PROMOTED, "promoted")]
    assert [order["order"] for order in history["rollouts"][0]["orders"]] == ["pause"]
    assert history["records"] == 14


def test_its_audit_says_who_was_served_what(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended_s = answer_of(project, capsys, "history")["rollouts"][1]["ended_s"]
    then = answer_of(project, capsys, "audit", "--at", str(ended_s))
    assert [(share["release"], share["percent"]) for share in then["serving"]] == [(FIRST, 100.0)]
    now = answer_of(project, capsys, "audit", "--at", str(ended_s + 1e6))
    assert {(share["release"], share["percent"]) for share in now["serving"]} == {(FIRST, 50.0), (SECOND, 50.0)}


def test_its_status_says_where_the_rollout_is_held_and_what_was_counted(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = answer_of(project, capsys, "status")
    assert (status["rollout"]["id"], status["rollout"]["milestone"]) == (UNDER_WAY, 1)
    assert status["rollout"]["held"].endswith(": lunch")
    assert status["rollout"]["gates"][0]["n_candidate"] == 30
    assert status["measured"]["total"] == {FIRST: 30, SECOND: 30}


def test_its_plan_and_its_forecast_are_read_back(project: Path) -> None:
    plan = read_plan(project / "plan.json", approved=True)
    forecast = Forecast.from_json(json.loads((project / "forecast.json").read_text("utf-8")))
    assert plan.to_release == {"default": SECOND}
    assert [milestone.title for milestone in plan.milestones][1] == "50 % of everyone: answer"
    assert forecast.plan_digest == plan.digest


@pytest.mark.engine
@pytest.mark.parametrize(("words", "outcome", "serves"), [
    (("promote", "--full"), "promoted", SECOND),
    (("abort",), "rolled_back", FIRST),
])  # fmt: skip
def test_its_rollout_is_carried_to_an_end(
    project: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], outcome: str, serves: str
) -> None:
    code = {"promoted": 0, "rolled_back": 4}[outcome]
    for each in (words, ("apply", "--resume")) if words[0] == "promote" else (words,):
        done = run_here(project, *each)
    assert done.returncode == code, done.stdout + done.stderr
    newest = answer_of(project, capsys, "history")["rollouts"][0]
    assert (newest["id"], newest["outcome"]) == (UNDER_WAY, outcome)
    assert [share["release"] for share in answer_of(project, capsys, "status")["serving"]] == [serves]
