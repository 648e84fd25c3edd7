"""A distribution of somebody else adds one kind to each seam, and a declaration uses them without an edit of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from rollcast.planner.loading.loader import read_yaml
from rollcast.stacks.base import atomic_files
from rollcast.testing.evaluators import EvaluatorConformance
from rollcast.testing.flags import FlagsConformance
from rollcast.testing.instances import InstancesConformance
from rollcast.testing.registries import RegistryConformance
from rollcast.testing.stations import StationConformance
from rollcast.testing.telemetry import TelemetryConformance

HERE = Path(__file__).parent / "third_party"
ROLLCAST = str(Path(sys.executable).parent / "rollcast")
SEAMS = ("registries", "flags", "instances", "telemetry", "evaluators", "stations")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that it is installed into, by pip and without a network."""
    source, folder = tmp_path_factory.mktemp("acme") / "source", tmp_path_factory.mktemp("site")
    shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("project", "tests", "__pycache__"))
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    done = subprocess.run([sys.executable, "-m", "pip", *words, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


class Place:
    """A project that uses it, with its shelf and its traffic."""

    def __init__(self, folder: Path, *paths: Path) -> None:
        self.folder = folder
        shutil.copytree(HERE / "project", folder)
        for name, file in (("bot_1", "one.txt"), ("bot_2", "two.txt"), ("cases", "a.case")):
            (folder / "shelf" / name).mkdir(parents=True)
            (folder / "shelf" / name / file).write_text("bot", "utf-8")
        (folder / "traffic").mkdir()
        rows = "".join(f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z,10,10\n" for second in range(2000))
        (folder / "traffic" / "hour.csv").write_text(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}", "utf-8")
        path = [str(path) for path in paths]
        self.environ = {**os.environ, "PYTHONPATH": os.pathsep.join([*path, os.environ.get("PYTHONPATH", "")])}

    @property
    def declaration(self) -> Path:
        return self.folder / "rollcast.yaml"

    def edit(self, old: str, new: str) -> None:
        text = self.declaration.read_text("utf-8")
        assert old in text
        self.declaration.write_text(text.replace(old, new), "utf-8")

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [ROLLCAST, *words], cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=300
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, f"rollcast {' '.join(words)} ended with {done.returncode}:\n{said}"
        return said


@pytest.fixture
def place(tmp_path: Path, installed: Path) -> Place:
    return Place(tmp_path / "project", installed)


def test_it_is_used_from_a_declaration_and_the_schema_knows_it(place: Place) -> None:
    assert "is valid" in place.run("validate")
    schema = json.loads(place.run("schema"))
    assert {"flags-drawer", "instances-drawer"} <= set(schema["$defs"])
    assert {"target-drawer", "telemetry-csv", "evaluator-answers", "profile-dice"} <= set(schema["$defs"])
    validator = jsonschema.Draft202012Validator(schema)
    data = read_yaml(place.declaration.read_text("utf-8"), "rollcast.yaml").data
    assert [error.message for error in validator.iter_errors(data)] == []
    data["environments"]["prod"]["telemetry"]["tabel"] = "x"
    assert list(validator.iter_errors(data))


def test_its_own_tests_hold_each_of_its_kinds_to_the_suite_of_its_seam(tmp_path: Path, installed: Path) -> None:
    """As its authors would run them: in a folder of their own, with nothing of ours but the installed packages."""
    shutil.copytree(HERE / "tests", tmp_path / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-rs",
         "--junitxml=found.xml", f"--basetemp={tmp_path / 'base'}", "tests"],
        cwd=tmp_path, env={**environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    cases = list(ElementTree.parse(tmp_path / "found.xml").iter("testcase"))
    ran = Counter(case.get("classname", "").rpartition(".")[2] for case in cases if case.find("skipped") is None)
    for seam, suite in SUITES.items():
        wanted = {name for name in dir(suite) if name.startswith("test_")}
        assert ran[seam] >= len(wanted) - NEEDLESS.get(seam, 0), f"{seam}: {ran[seam]} ran\n{done.stdout}"


SUITES = {
    "TestShelf": RegistryConformance, "TestDrawer": FlagsConformance, "TestCsv": TelemetryConformance,
    "TestDrawerOfInstances": InstancesConformance, "TestAnswers": EvaluatorConformance, "TestDice": StationConformance,
}  # fmt: skip
NEEDLESS = {"TestAnswers": 2, "TestShelf": 2}  # no suite of its takes long; its content is on this machine
SETTINGS = {
    ("side_s: 0.02", "sides_s: 0.02"): "5:100: unknown key 'sides_s'. Did you mean 'side_s'?",
    ("file: live/drawer.sqlite", "fil: live, wait_s: soon"): "11:28: unknown key 'fil'. Did you mean 'file'?",
    (
        "}\n    telemetry",
        ", x: 1}\n    telemetry",
    ): "11:39: environments.prod.target.wait_s: it should be a valid integer",
    ("table: live", "tabel: live"): "12:28: unknown key 'tabel'. Did you mean 'table'?",
    ("pattern:", "patern:"): "23:78: unknown key 'patern'. Did you mean 'pattern'?",
}
NAMES = {
    ("station: dice, side_s: 0.02", "station: die"): "5:85: there is no station of kind 'die'. Did you mean 'dice'?",
    ("kind: drawer", "kind: drawr"): "11:14: there is no target of kind 'drawr'. Did you mean 'drawer'?",
    ("kind: csv", "kind: cvs"): "12:17: there is no telemetry of kind 'cvs'. Did you mean 'csv'?",
    ("kind: answers", "kind: answer"): "23:63: there is no evaluator of kind 'answer'. Did you mean 'answers'?",
}


@pytest.mark.parametrize("mistakes", [SETTINGS, NAMES], ids=["settings", "names"])
def test_every_mistake_has_its_line_and_the_nearest_name_at_once(
    place: Place, mistakes: dict[tuple[str, str], str]
) -> None:
    for old, new in mistakes:
        place.edit(old, new)
    said = place.run("validate", code=1)
    assert [sentence for sentence in mistakes.values() if f"rollcast.yaml:{sentence}" not in said] == [], said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("shelf:bot-2", "5:52: bot@2: source 'shelf:bot-2' is no name on the shelf."),
        ("shelv:bot_2", "Did you mean 'shelf'?"),
        ("shelf:bot_3", "bot@2: there is no 'bot_3' on the shelf. Put it there."),
    ],
)
def test_a_mistaken_source_is_its_registrys_to_explain(place: Place, source: str, said: str) -> None:
    place.edit("shelf:bot_2", source)
    assert said in place.run("validate", code=1)


def test_without_it_each_kind_is_missed_at_its_place_and_the_package_is_named(tmp_path: Path) -> None:
    said = Place(tmp_path / "project").run("validate", code=1)
    for line, noun, kind, group in (
        (11, "target", "drawer", "flags"), (12, "telemetry", "csv", "telemetry"),
        (23, "evaluator", "answers", "evaluators"), (4, "station", "dice", "stations"),
    ):  # fmt: skip
        (sentence,) = [each for each in said.splitlines() if f"rollcast.yaml:{line}:" in each]
        assert f"there is no {noun} of kind '{kind}'" in sentence
        assert f"install the package that brings it, as '{kind}' in 'rollcast.{group}'" in sentence


def test_its_station_serves_a_forecast_with_any_number_of_workers(place: Place) -> None:
    shutil.copy(place.declaration, place.folder / "released.yaml")
    place.edit("artifact: bot@1", "artifact: bot@2")
    forecasts = [_json(place, workers) for workers in ("1", "2")]
    assert forecasts[0] == forecasts[1]


def _json(place: Place, workers: str) -> str:
    words = ["--from", "released.yaml", "--runs", "20", "--seed", "1", "--workers", workers]
    place.run("simulate", *words, "--out", f"{workers}.json", code=0)
    return (place.folder / f"{workers}.json").read_text("utf-8")


class _Service(threading.Thread):
    """What serves: it evaluates the drawer's flag for some users, and writes outcomes as the table wants them."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self.place, self.done = place, threading.Event()

    def run(self) -> None:
        import sqlite3

        live, number = self.place.folder / "live", 0
        while not self.done.wait(0.02):
            number += 1
            if not (live / "drawer.sqlite").exists():
                continue
            database = sqlite3.connect(live / "drawer.sqlite", timeout=5)
            try:
                rows = database.execute("select body from flags").fetchall()
            except sqlite3.OperationalError:
                continue
            finally:
                database.close()
            releases = sorted(json.loads(rows[0][0])["variants"]) if rows else []
            if not releases:
                continue
            line = f"{time.time()};r{number};u{number};{releases[number % len(releases)]};0.01;0\n"
            with (live / "outcomes.csv").open("a", encoding="utf-8") as table:
                table.write(line)


@pytest.fixture
def service(place: Place) -> Iterator[_Service]:
    serving = _Service(place)
    serving.start()
    yield serving
    serving.done.set()
    serving.join()


@pytest.mark.engine
@pytest.mark.usefixtures("service")
def test_a_release_is_locked_evaluated_rolled_out_and_judged_by_its_kinds_alone(place: Place) -> None:
    place.run("lock")
    place.run("apply", "--auto-approve", "--no-forecast")
    place.edit("artifact: bot@1", "artifact: bot@2")
    said = place.run("apply", "--auto-approve", "--no-forecast")
    assert "passed" in said
    assert "drift" in place.run("plan", "--refresh-only")
    assert not (place.folder / ".rollcast" / "live").exists(), "our own target was used"


# ---- what is broken -------------------------------------------------------------------------------


def wheel(folder: Path, name: str, entries: str, code: str = "", metadata: str = "") -> Path:
    """A distribution, as an installer leaves it: one module, and what it says of itself."""
    about = folder / f"{name}-3.0.dist-info"
    about.mkdir(parents=True)
    atomic_files.write(about / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.0\n{metadata}")
    atomic_files.write(about / "entry_points.txt", entries)
    atomic_files.write(folder / f"{name}_module.py", code)
    return folder


def test_two_of_one_name_are_both_named_and_harm_no_one_else(tmp_path: Path, installed: Path) -> None:
    other = wheel(tmp_path / "other", "umbrella", "[rollcast.telemetry]\ncsv = umbrella_module:Csv\n")
    place = Place(tmp_path / "project", installed, other)
    said = place.run("validate", code=1)
    assert ":12:17: telemetry 'csv' is offered by" in said
    assert "acme-rollcast 1.2.0" in said
    assert "umbrella 3.0" in said
    assert said.count("Error:") == 1
    place.edit('{kind: csv, table: live/outcomes.csv, delimiter: ";"}', "{kind: jsonl}")
    assert "is valid" in place.run("validate")
    place.run("schema")


@pytest.mark.parametrize("code", ["import not_there_at_all", "raise SystemExit(3)", "1 / 0", "Other = None"])
def test_one_that_can_not_be_imported_is_named_with_the_reason_and_harms_no_one_else(
    tmp_path: Path, installed: Path, code: str
) -> None:
    entries = "".join(f"[rollcast.{seam}]\nbroken = umbrella_module:Broken\n" for seam in SEAMS)
    needs = "Provides-Extra: sky\nRequires-Dist: not-there-at-all; extra == 'sky'\n"
    place = Place(tmp_path / "project", installed, wheel(tmp_path / "other", "umbrella", entries, code, needs))
    for words in (["--help"], ["validate"], ["schema"], ["plan"]):
        place.run(*words)
    place.edit("{kind: csv,", "{kind: broken,")
    said = place.run("validate", code=1)
    assert ":12:17: telemetry 'broken' of umbrella 3.0 can't be imported (" in said
    remedy = "pip install 'umbrella[sky]'" if "not_there" in code else "Correct or update umbrella, or uninstall it."
    assert remedy in said


def test_names_of_kinds_are_listed_without_an_import_and_help_stays_light(tmp_path: Path, installed: Path) -> None:
    code = "raise RuntimeError('imported')"
    folder = wheel(tmp_path / "other", "umbrella", "[rollcast.telemetry]\nloud = umbrella_module:Loud\n", code)
    place = Place(tmp_path / "project", installed, folder)
    place.edit("kind: csv", "kind: lou")
    assert "Did you mean 'loud'?" in place.run("validate", code=1)
    heavy = "('pydantic', 'packaging', 'rollcast.plugins', 'acme_rollcast', 'umbrella_module')"
    script = f"import sys, rollcast.cli.main as m; m.main(['--help']); print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], env=place.environ, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
