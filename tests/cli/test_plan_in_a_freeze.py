"""A plan says what would hold it up if it began now: a freeze, one that comes before its end, or the brake."""

from __future__ import annotations

import json
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rollcast.cli.commands.plan import _stands_still
from rollcast.cli.inputs.plans import plan_of
from rollcast.cli.main import main
from rollcast.cli.reports.amounts import duration
from rollcast.cli.reports.steps import steps_of, whole_course_s
from rollcast.planner.plan.models import Plan
from rollcast.stacks.ledger.rollouts import ledger_of
from rollcast.stacks.project import Project
from rollcast.stacks.rollout.standstill import set_brake
from tests.cli.test_saved_plan import EXAMPLE


def frozen(folder: Path, begins_in_s: float) -> Project:
    """The project with a freeze of a day that begins so many seconds from now."""
    first, last = (
        datetime.fromtimestamp(time.time() + begins_in_s + more_s, UTC).strftime("%Y-%m-%d %H:%M")
        for more_s in (0, 86_400)
    )
    text = (folder / "slow.yaml").read_text("utf-8")
    freeze = f"    freezes: [{{from: '{first}', until: '{last}', reason: stocktaking}}]\n"
    assert "\n  local:\n" in text
    (folder / "rollcast.yaml").write_text(text.replace("\n  local:\n", f"\n  local:\n{freeze}", 1), "utf-8")
    return Project.open(folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("frozen") / "project"
    shutil.copytree(EXAMPLE, where, ignore=shutil.ignore_patterns(".rollcast"))
    text = (where / "rollcast.yaml").read_text("utf-8")
    slow = re.sub(r"bake: \{min: \w+, max: \w+", "bake: {min: 1h, max: 2d", text)
    assert slow != text
    for name in ("rollcast.yaml", "slow.yaml"):
        (where / name).write_text(slow, "utf-8")
    return where


@pytest.fixture(scope="module")
def made(folder: Path) -> Plan:
    """One that takes some hours, or some days."""
    return plan_of(Project.open(folder), "released.yaml").plan


def test_a_plan_says_which_freeze_it_would_run_into(folder: Path, made: Plan) -> None:
    assert _stands_still(frozen(folder, -3600), made).startswith("Nothing begins here: frozen until ")
    assert _stands_still(frozen(folder, 30 * 86_400), made) == ""
    assert _stands_still(frozen(folder, 3600), made).startswith("Begun now, it would stand still from ")
    least_s, most_s = whole_course_s(made, steps_of(made))
    assert 3600 < least_s < 86_400 < most_s < 30 * 86_400
    may = _stands_still(frozen(folder, (least_s + most_s) / 2), made)
    assert may.startswith("Begun now, it may stand still from ")
    assert may.endswith(f"(stocktaking): it takes {duration(least_s)} to {duration(most_s)}.")


def test_text_and_json_of_a_plan_say_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frozen(folder, -3600)
    assert main(["-C", str(folder), "plan"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert main(["-C", str(folder), "plan", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["standstill"] == last
    assert last.endswith(": stocktaking. Apply it then, or have the freeze changed and reviewed.")


def test_the_brake_holds_before_a_freeze_does(folder: Path, made: Plan) -> None:
    project = frozen(folder, -3600)
    set_brake(ledger_of(project), pulled=True, reason="incident 4711", by="ada")
    assert _stands_still(project, made).endswith(
        ": incident 4711, says ada. Release it with 'rollcast brake --release --reason TEXT'."
    )
