"""Other ways to the same release, side by side: what a way is, and that each is forecast as it would be alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.cli.inputs.plans import plan_of, save_plan
from rollcast.cli.inputs.variants import settings_in, variant_of, with_settings
from rollcast.cli.main import main
from rollcast.cli.output.comparing import markdown_of, text_of
from rollcast.simulator.forecast.models import Forecast
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.project import Project

EXAMPLE = Path(__file__).parents[2] / "examples" / "rag-search"
percents = st.lists(st.integers(1, 99), max_size=4, unique=True).map(lambda found: [*sorted(found), 100])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    where = tmp_path_factory.mktemp("compare") / "project"
    shutil.copytree(EXAMPLE, where, ignore=shutil.ignore_patterns(".rollcast", "__pycache__", "traffic"))
    (where / "traffic").mkdir()
    rows = [f"{0.05 * number:.2f},user-{number % 300},{90 + number % 7},40" for number in range(300)]
    (where / "traffic" / "requests.csv").write_text("\n".join(["time,key,input_tokens,output_tokens", *rows]), "utf-8")
    return Project.open(where)


@given(percent=percents, minutes=st.integers(1, 600), spaced=st.booleans())
def test_settings_are_read_as_the_declaration_would_read_them(
    project: Project, percent: list[int], minutes: int, spaced: bool
) -> None:
    listed = f"{', ' if spaced else ','}".join(map(str, percent))
    text = f"percent=[{listed}] bake={{min: {minutes}m, max: 12h}}"
    found = with_settings(project, settings_in(text), text).declaration.rollout
    assert found.percent == tuple(percent)
    assert found.bake.min == minutes * 60
    assert found.gates == project.declaration.rollout.gates, "the rest is as declared"


def test_a_way_is_settings_a_declaration_or_a_saved_plan(project: Project, tmp_path: Path) -> None:
    declared = plan_of(project, "released.yaml").plan
    assert variant_of(project, "percent=[10, 50, 100]", "released.yaml").plan.digest == declared.digest
    assert variant_of(project, "rollcast.yaml", "released.yaml").plan.digest == declared.digest
    save_plan(declared, tmp_path / "plan.json")
    assert variant_of(project, str(tmp_path / "plan.json")).plan.digest == declared.digest
    blue_green = variant_of(project, "strategy=blue-green", "released.yaml").plan
    assert len(blue_green.milestones) < len(declared.milestones)


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("", "is no setting of a rollout"),
        ("percent", "is no setting of a rollout"),
        ("percent=[1, 100] and more", "is no setting of a rollout"),
        ("percent=[100] percent=[1,100]", "gives 'percent' twice"),
        ("percent=[50, 10, 100]", "'percent=[50, 10, 100]': "),
        ("percents=[1, 100]", "a rollout has no setting 'percents'. Did you mean 'percent'?"),
        ("strategy=green-blue", "'strategy=green-blue': strategy: "),
        ("error_rate=2", "error_rate: "),
        ("other.yaml", "other.yaml"),
        ("other.json", "other.json"),
    ],
)
def test_what_is_no_way_is_named(project: Project, way: str, why: str) -> None:
    with pytest.raises(StackError) as found:
        variant_of(project, way, "released.yaml")
    assert why in str(found.value)


def test_each_is_forecast_as_it_would_be_alone(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    columns = ",".join(f"{name}={name}" for name in ("time", "key", "input_tokens", "output_tokens"))
    words = [
        "simulate",
        "--columns",
        columns,
        "--from",
        "released.yaml",
        "--runs",
        "2",
        "--workers",
        "1",
        "--format",
        "json",
    ]
    assert main([*words, "--compare", "strategy=blue-green"]) == 0
    compared = json.loads(capsys.readouterr().out)["compared"]
    assert [one["name"] for one in compared] == ["as declared", "strategy=blue-green"]
    main(words)
    assert json.loads(capsys.readouterr().out) == compared[0]["forecast"]
    read = {one["name"]: Forecast.from_json(one["forecast"]) for one in compared}
    lines = text_of(read).splitlines()
    assert markdown_of(read).splitlines()[:2] == ["- **A** as declared", "- **B** strategy=blue-green"]
    assert lines[:2] == ["A  as declared", "B  strategy=blue-green"]
    assert any(line.split() == ["goes", "through", *line.split()[2:]] for line in lines)
    assert lines[-1] == "All of them with the same traffic and the same seed."
    assert "Soonest through: B." in lines
    assert main([*words[:-1], "html", "--compare", "strategy=blue-green"]) == 1
    assert main([*words, "--compare", "strategy=blue-green", "--compare", "strategy=blue-green"]) == 1
    assert "is compared twice" in capsys.readouterr().err
