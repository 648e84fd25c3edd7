"""`rollcast tune`: what it says to declare is what it forecast, and what can't be found or asked for is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from rollcast.cli.inputs.plans import plan_of
from rollcast.cli.inputs.ways import written
from rollcast.planner.base.values import duration_s
from rollcast.stacks.project import Project
from tests.commands import run_here

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"
NAMES = ("time", "key", "input_tokens", "output_tokens")
WORDS = ("tune", "--from", "released.yaml", "--runs", "2", "--workers", "1",
         "--columns", ",".join(f"{name}={name}" for name in NAMES))  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The retrieval example, looked at seldom, with a quarter of an hour of traffic."""
    where = tmp_path_factory.mktemp("tune") / "project"
    shutil.copytree(EXAMPLE, where, ignore=shutil.ignore_patterns(".rollcast", "__pycache__", "traffic"))
    (where / "traffic").mkdir()
    rows = [f"{number},user-{number % 700},{90 + number % 7},40" for number in range(900)]
    (where / "traffic" / "requests.csv").write_text("\n".join([",".join(NAMES), *rows]), "utf-8")
    for name in ("rollcast.yaml", "released.yaml"):
        text = (where / name).read_text("utf-8")
        (where / name).write_text(text.replace("look_every: 1s", "look_every: 60s"), "utf-8")
    return where


@pytest.fixture(scope="module")
def answer(folder: Path) -> dict[str, Any]:
    done = run_here(folder, *WORDS, "--within", "15m", "--catch", "error_rate=0.3", "--format", "json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_it_says_to_declare_is_what_it_forecast(folder: Path, answer: dict[str, Any]) -> None:
    """Written into the declaration, it gives the very plan of the forecast."""
    yaml, path = YAML(), folder / "rollcast.yaml"
    declared = yaml.load(path)
    declared["rollout"].update(answer["declaration"]["rollout"])
    yaml.dump(declared, folder / "tuned.yaml")
    tuned = Project.open(folder, None, "tuned.yaml")
    forecast = next(one["forecast"] for one in answer["compared"] if one["name"] == answer["chosen"])
    assert plan_of(tuned, "released.yaml").plan.digest == forecast["plan_digest"]


def test_ways_stand_beside_what_is_declared_with_the_harm_that_was_named(answer: dict[str, Any]) -> None:
    names = [one["name"] for one in answer["compared"]]
    assert names[0] == "as declared"
    assert answer["chosen"] in names
    assert answer["tried"] > len(names)
    assert answer["blocked"]["max-exposure"] > 0, "some ladders begin with too many users for this project's rules"
    for one in answer["compared"]:
        (harm,) = one["forecast"]["detection"]
        assert (harm["metric"], harm["regression"], harm["replays"]) == ("error_rate", 0.3, 2)
        assert harm["users_harmed"] is not None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--within", "soon"), "--within: 'soon' is not a duration; write 90s, 10m or 1h30m."),
        (("--within", "0s"), "no rollout is over at once"),
        (("--catch", "eror_rate=0.1"), "No gate watches what 'eror_rate=0.1' makes worse. Did you mean 'error_rate'?"),
        (("--catch", "error_rate=much"), "is no injection"),
        (("--catch", "error_rate=0.1@nothing"), "'nothing' does not change in this plan"),
    ],
)
def test_what_can_not_be_searched_for_is_said(folder: Path, words: tuple[str, ...], why: str) -> None:
    done = run_here(folder, *WORDS, *words)
    assert done.returncode == 1
    assert why in done.stderr


def test_a_rollout_without_percentages_has_nothing_to_tune(folder: Path) -> None:
    text = (folder / "rollcast.yaml").read_text("utf-8").replace("strategy: canary", "strategy: blue-green")
    (folder / "at-once.yaml").write_text(text, "utf-8")
    done = run_here(folder, "--file", "at-once.yaml", *WORDS)
    assert done.returncode == 1
    assert "there are no percentages to choose" in done.stderr


@pytest.mark.parametrize("seconds", [0.5, 1, 59, 60, 90, 3600, 5400, 86400, 90061])
def test_times_are_written_as_they_are_read(seconds: float) -> None:
    assert duration_s(written(seconds)) == seconds
