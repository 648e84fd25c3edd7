"""acme's own tests: each of its kinds passes the suite of its seam. `../../test_third_party.py` runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from acme_rollcast.evaluator import Answers, AnswersSettings
from acme_rollcast.registry import Shelf
from acme_rollcast.station import Dice
from acme_rollcast.target import Drawer, DrawerSettings
from acme_rollcast.telemetry import COLUMNS, Csv, CsvSettings

from rollcast.stacks.evaluators import SuiteRunner
from rollcast.stacks.flags import FlagStore
from rollcast.stacks.instances import Instances
from rollcast.stacks.registries.sources import Registry
from rollcast.stacks.telemetry import TelemetrySource
from rollcast.testing.evaluators import EvaluatorConformance
from rollcast.testing.flags import FlagsConformance
from rollcast.testing.instances import InstancesConformance
from rollcast.testing.registries import RegistryConformance
from rollcast.testing.stations import StationConformance
from rollcast.testing.telemetry import TelemetryConformance


class TestShelf(RegistryConformance):
    kind = Shelf
    absent = "nothing"
    mistaken = "no name"

    @pytest.fixture(autouse=True)
    def _beside_the_project(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ACME_SHELF", raising=False)

    def make(self) -> Registry:
        return Shelf()

    def put(self, project: Path, text: str) -> str:
        (project / "shelf" / "bot").mkdir(parents=True, exist_ok=True)
        (project / "shelf" / "bot" / "prompt.txt").write_text(text, "utf-8")
        return "bot"


class TestDrawer(FlagsConformance):
    kind = Drawer

    def make(self, tmp_path: Path, scope: str = "") -> FlagStore:
        return Drawer(DrawerSettings(file="drawer.sqlite"), tmp_path, scope)


class TestDrawerOfInstances(InstancesConformance):
    kind = Drawer

    def make(self, tmp_path: Path, scope: str = "") -> Instances:
        return Drawer(DrawerSettings(file="drawer.sqlite"), tmp_path, scope)


class TestCsv(TelemetryConformance):
    kind = Csv

    def make(self, tmp_path: Path) -> TelemetrySource:
        return Csv(CsvSettings(table="outcomes.csv"), tmp_path)

    def write(self, tmp_path: Path, records: Sequence[Mapping[str, Any]]) -> None:
        for record in records:
            self._append(tmp_path, *(record[name] for name in COLUMNS[:-1]), int(record["error"]))

    def damage(self, tmp_path: Path) -> None:
        self._append(tmp_path, "half of a line")

    @staticmethod
    def _append(tmp_path: Path, *values: object) -> None:
        with (tmp_path / "outcomes.csv").open("a", encoding="utf-8") as table:
            table.write(",".join(map(str, values)) + "\n")


class TestAnswers(EvaluatorConformance):
    kind = Answers
    release: Mapping[str, Any] = {"release": "rel-1", "answers": ["42"]}

    def make(self, tmp_path: Path) -> SuiteRunner:
        return Answers(AnswersSettings(), tmp_path)

    def suite(self, tmp_path: Path) -> Path:
        (tmp_path / "cases").mkdir(exist_ok=True)
        (tmp_path / "cases" / "one.txt").write_text("42", "utf-8")
        return tmp_path / "cases"

    def broken_suite(self, tmp_path: Path) -> Path:
        (tmp_path / "empty").mkdir()
        return tmp_path / "empty"


class TestDice(StationConformance):
    kind = Dice

    def make(self) -> Mapping[str, Any]:
        return {"station": "dice", "side_s": 0.01}


def test_every_kind_that_acme_offers_is_held_to_a_suite() -> None:
    offered = {entry.load() for entry in distribution("acme-rollcast").entry_points if entry.group[:9] == "rollcast."}
    assert offered == {suite.kind for suite in (TestShelf, TestDrawer, TestCsv, TestAnswers, TestDice)}
