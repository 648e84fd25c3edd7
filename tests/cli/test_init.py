"""`rollcast init`: new projects and copies of the example systems, from a checkout and from an installed wheel."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rollcast.cli.commands.init import examples
from rollcast.cli.main import main

ROOT = Path(__file__).parents[2]
SYSTEMS = {
    "coding-assistant",
    "customer-support",
    "image-generation",
    "rag-search",
    "transcription",
    "workflow-platform",
}


def test_the_list_names_every_system_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} >= SYSTEMS
    assert all(len(line.split()) > 3 for line in lines if line.split()[0] != "rag-search")


def test_a_new_project_is_valid_and_has_a_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new"
    assert main(["init", str(folder)]) == 0
    assert (folder / ".gitignore").read_text("utf-8") == ".rollcast/\n"
    assert main(["validate", "-C", str(folder)]) == 0
    assert main(["plan", "-C", str(folder), "--detailed-exitcode"]) == 2
    assert "first-release" in capsys.readouterr().out


@pytest.mark.parametrize("system", sorted(SYSTEMS - {"rag-search"}))
def test_a_copied_example_is_a_working_project(system: str, tmp_path: Path) -> None:
    folder = tmp_path / system
    assert main(["init", str(folder), "--example", system]) == 0
    assert main(["validate", "-C", str(folder)]) == 0
    assert main(["plan", "-C", str(folder), "--from", "released.yaml", "--format", "markdown"]) == 0


def test_a_copied_example_with_a_demo_has_what_the_demo_needs(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path / "copy"), "--example", "rag-search"]) == 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for program in ("demo.py", "load.py"):
        command = [sys.executable, program, "--help"]
        done = subprocess.run(command, cwd=tmp_path / "copy", capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr


def test_nothing_that_is_there_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rollcast.yaml").write_text("mine", "utf-8")
    assert main(["init", str(tmp_path)]) == 1
    assert (tmp_path / "rollcast.yaml").read_text("utf-8") == "mine"
    assert "nothing is overwritten" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["rollcast.yaml"]


def test_a_misspelt_example_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "x"), "--example", "transcripton"]) == 1
    assert "Did you mean 'transcription'?" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_an_installed_wheel_has_the_examples_too(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "wheel")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if ".rollcast/" in name]
        archive.extractall(installed)
    script = (
        "import rollcast.cli.commands.init as i, sys; print(i.__file__); "
        "from rollcast.cli.main import main; sys.exit(main())"
    )
    command = [sys.executable, "-c", script, "init", "--example", "customer-support", str(tmp_path / "copied")]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0].startswith(str(installed))
    assert (tmp_path / "copied" / "released.yaml").is_file()
    assert {name for name, _ in examples()} >= SYSTEMS
