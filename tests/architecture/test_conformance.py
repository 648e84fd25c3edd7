"""Our own kinds pass the suites that third parties' kinds are held to, and a broken kind of each seam fails."""

from __future__ import annotations

import json
import random
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Literal

import pytest
import simpy
from sqlalchemy import create_engine, text

from rollcast.plugins.finding import kinds, load
from rollcast.plugins.seams import Seam
from rollcast.simulator.engines.reference.station import ProcessStation, Station, Visit, station
from rollcast.simulator.stations import kinds as stations
from rollcast.simulator.stations.profiles import Profile
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.evaluators import SuiteRunner
from rollcast.stacks.evaluators.dataplane import DataPlaneEvaluator, DataPlaneSettings
from rollcast.stacks.flags import FlagStore
from rollcast.stacks.flags.flagd import FlagdFlags, FlagdSettings
from rollcast.stacks.instances import Instances, InstanceSpec, Placed, Provisioning
from rollcast.stacks.instances.folder import FolderInstances, FolderSettings
from rollcast.stacks.registries.file import FileRegistry
from rollcast.stacks.registries.sources import Registry
from rollcast.stacks.registries.vendor import VendorRegistry
from rollcast.stacks.telemetry import Cursor, TelemetryBatch, TelemetrySource
from rollcast.stacks.telemetry.jsonl import JsonLines, JsonLinesSettings
from rollcast.stacks.telemetry.prometheus import Prometheus, PrometheusSettings
from rollcast.stacks.telemetry.sql import Sql, SqlSettings
from rollcast.testing.evaluators import EvaluatorConformance
from rollcast.testing.flags import FlagsConformance
from rollcast.testing.instances import InstancesConformance
from rollcast.testing.registries import RegistryConformance
from rollcast.testing.stations import StationConformance
from rollcast.testing.telemetry import TelemetryConformance
from tests.stacks.servers import prometheus
from tests.stacks.test_fleet import listening
from tests.stacks.test_telemetry import Exporter

SUITES = {
    "registries": "RegistryConformance", "evaluators": "EvaluatorConformance", "instances": "InstancesConformance",
    "flags": "FlagsConformance",
}  # fmt: skip
TESTS = Path(__file__).parents[1]

# ---- our own ------------------------------------------------------------------------------------


class TestFile(RegistryConformance):
    absent = "prompts/not-there"

    def make(self) -> Registry:
        return FileRegistry()

    def put(self, project: Path, text: str) -> str:
        (project / "prompts").mkdir(exist_ok=True)
        (project / "prompts" / "answer.txt").write_text(text, "utf-8")
        return "prompts"


class TestVendor(RegistryConformance):
    mistaken = "example/model-latest"
    by_name = True

    def make(self) -> Registry:
        return VendorRegistry()

    def put(self, project: Path, text: str) -> str:
        return "example/model-2026-05-01"


class TestFlagd(FlagsConformance):
    def make(self, tmp_path: Path, scope: str = "") -> FlagStore:
        return FlagdFlags(FlagdSettings(), tmp_path, scope)


class TestFolder(InstancesConformance):
    def make(self, tmp_path: Path, scope: str = "") -> Instances:
        return FolderInstances(FolderSettings(), tmp_path, scope)


class TestJsonLines(TelemetryConformance):
    def make(self, tmp_path: Path) -> TelemetrySource:
        return JsonLines(JsonLinesSettings(path="telemetry"), tmp_path)

    def write(self, tmp_path: Path, records: Sequence[Mapping[str, Any]]) -> None:
        self._append(tmp_path, *map(json.dumps, records))

    def damage(self, tmp_path: Path) -> None:
        self._append(tmp_path, '{"time": 1, "req')

    @staticmethod
    def _append(tmp_path: Path, *lines: str) -> None:
        (tmp_path / "telemetry").mkdir(exist_ok=True)
        with (tmp_path / "telemetry" / "one.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


class TestSql(TelemetryConformance):
    COLUMNS = ("time", "request", "key", "release", "latency_s", "error")

    def _url(self, tmp_path: Path) -> str:
        database = sqlite3.connect(tmp_path / "telemetry.sqlite")
        columns = ", ".join(f'"{name}"' for name in self.COLUMNS)
        database.execute(f"create table if not exists outcomes (id integer primary key autoincrement, {columns})")
        database.close()
        return f"sqlite:///{tmp_path / 'telemetry.sqlite'}"

    def make(self, tmp_path: Path) -> TelemetrySource:
        return Sql(SqlSettings(url=self._url(tmp_path), path="outcomes"), tmp_path)

    def write(self, tmp_path: Path, records: Sequence[Mapping[str, Any]]) -> None:
        engine = create_engine(self._url(tmp_path))
        names, values = ", ".join(f'"{n}"' for n in self.COLUMNS), ", ".join(f":{n}" for n in self.COLUMNS)
        with engine.begin() as connection:
            connection.execute(text(f"insert into outcomes ({names}) values ({values})"), [dict(r) for r in records])
        engine.dispose()

    def damage(self, tmp_path: Path) -> None:
        engine = create_engine(self._url(tmp_path))
        with engine.begin() as connection:
            connection.execute(text("insert into outcomes (request) values ('no time')"))
        engine.dispose()


class TestPrometheus(TelemetryConformance):
    """A real server that scrapes real counters."""

    @pytest.fixture(autouse=True)
    def _server(self, tmp_path: Path) -> Iterator[None]:
        self.exporter = Exporter()
        (tmp_path / "server").mkdir()
        try:
            with prometheus(tmp_path / "server", self.exporter.port) as self.url:
                yield
        finally:
            self.exporter.close()

    def make(self, tmp_path: Path) -> TelemetrySource:
        return Prometheus(PrometheusSettings(url=self.url, path='{job="rag"}'), tmp_path)

    def write(self, tmp_path: Path, records: Sequence[Mapping[str, Any]]) -> None:
        counts = dict(self.exporter.counts)
        for record in records:
            for name, more in (("requests", 1), ("error", int(record["error"]))):
                counter = f'rollcast_{name}_total{{release="{record["release"]}"}}'
                counts[counter] = counts.get(counter, 0) + more
        self.exporter.counts = counts
        for _ in range(150):
            if self._scraped() == sum(counts.values()):
                return
            time.sleep(0.1)
        raise AssertionError("Prometheus did not scrape")

    def _scraped(self) -> float:
        query = "sum(%7B__name__=~%22rollcast_.%2B%22%7D)"
        with urllib.request.urlopen(f"{self.url}/api/v1/query?query={query}", timeout=5) as reply:
            result = json.load(reply)["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0


def _data_plane(path: str) -> tuple[int, Any]:
    return 200, {"cases": 2, "metrics": {"recall": 0.5}}


class TestDataPlane(EvaluatorConformance):
    """At real addresses: one that answers, one that refuses, one that takes long."""

    @pytest.fixture(autouse=True)
    def _listening(self) -> Iterator[None]:
        with ExitStack() as stack:
            self.stack, self.answer = stack, _data_plane
            self.address = stack.enter_context(listening(lambda path: self.answer(path)))
            yield

    def make(self, tmp_path: Path) -> SuiteRunner:
        return DataPlaneEvaluator(DataPlaneSettings(), tmp_path)

    def endpoints(self) -> Sequence[str]:
        return (self.address,)

    def suite(self, tmp_path: Path) -> Path:
        (tmp_path / "suite").mkdir(exist_ok=True)
        (tmp_path / "suite" / "cases.jsonl").write_text("{}\n", "utf-8")
        return tmp_path / "suite"

    def broken_suite(self, tmp_path: Path) -> Path:
        self.answer = lambda path: (400, {"error": "there are no cases"})
        return tmp_path

    def slow_suite(self, tmp_path: Path) -> Path:
        def slowly(path: str) -> tuple[int, Any]:
            time.sleep(8)
            return _data_plane(path)

        self.answer = slowly
        return self.suite(tmp_path)


class TestPool(StationConformance):
    def make(self) -> Mapping[str, Any]:
        service = {"distribution": "exponential", "mean": 0.02}
        return {"station": "pool", "concurrency": 2, "service_s": service, "queue": 5, "overhead_s": 0.01}


class TestRemote(StationConformance):
    def make(self) -> Mapping[str, Any]:
        latency = {"distribution": "exponential", "mean": 0.2}
        return {"station": "remote", "latency_s": latency, "requests_per_s": 100, "burst": 3}


class TestLlm(StationConformance):
    def make(self) -> Mapping[str, Any]:
        step = {"base_s": 0.01, "prefill_token_s": 0.0001, "decode_sequence_s": 0.001}
        return {"station": "llm", "max_sequences": 4, "kv_tokens": 1000, "step": step}


def test_every_kind_of_ours_is_held_to_its_suite() -> None:
    held = {FileRegistry, VendorRegistry, FlagdFlags, FolderInstances, JsonLines, Sql, Prometheus, DataPlaneEvaluator}
    ours = {load(seam, kind) for seam in Seam if seam is not Seam.STATIONS for kind in kinds(seam)}
    missing = {kind for kind in ours if kind.__module__.startswith("rollcast.")} - held
    for kind in sorted(missing, key=lambda kind: str(kind.__name__)):  # those whose servers or programs need room
        room, _, module = kind.__module__.removeprefix("rollcast.stacks.").rpartition(".")
        places = (TESTS / room / f"test_{module}.py", TESTS / module / "test_cluster.py")
        text = next(place for place in places if place.exists()).read_text("utf-8")
        assert f"({SUITES[room]})" in text, kind
    suites = [each for name, each in vars(sys.modules[__name__]).items() if name.startswith("Test")]
    profiles = {each().make()["station"] for each in suites if issubclass(each, StationConformance)}
    assert {kind for kind in kinds(Seam.STATIONS) if load(Seam.STATIONS, kind).__module__.startswith("rollcast.")} == (
        profiles
    )


# ---- broken ones --------------------------------------------------------------------------------


def failed(suite: Any, folder: Path, *names: str) -> set[str]:
    """Which of these tests of a suite fail, each in a folder of its own."""
    found = set()
    for name in names:
        place = folder / name
        place.mkdir()
        test: Callable[..., None] = getattr(suite, name)
        try:
            test(*((place,) if "tmp_path" in test.__code__.co_varnames[: test.__code__.co_argcount] else ()))
        except (AssertionError, StackError, pytest.fail.Exception):
            found.add(name)
    return found


def test_a_registry_that_gives_something_else_each_time_fails(tmp_path: Path) -> None:
    class Moody(FileRegistry):
        calls = count()

        def content(self, rest: str, project: Path) -> Path | None:
            (project / rest / "answer.txt").write_text(str(next(self.calls)), "utf-8")
            return project / rest

    class Suite(TestFile):
        def make(self) -> Registry:
            return Moody()

    good, bad = "test_a_source_that_is_right_has_no_mistake", "test_the_same_source_gives_the_same_content"
    absent = "test_what_is_absent_is_one_clear_error"
    assert failed(Suite(), tmp_path, good, bad) == {bad}
    with pytest.raises(FileNotFoundError):
        getattr(Suite(), absent)(tmp_path)


def test_instances_that_forget_their_owner_fail(tmp_path: Path) -> None:
    class Forgetful(FolderInstances):
        def put_instance(
            self, fence: int, placed: Placed, content: Path, spec: InstanceSpec, watch: Provisioning
        ) -> None:
            super().put_instance(fence, placed.model_copy(update={"owner": ""}), content, spec, watch)

    class Suite(TestFolder):
        def make(self, tmp_path: Path, scope: str = "") -> Instances:
            return Forgetful(FolderSettings(), tmp_path, scope)

    good, owner = "test_a_place_that_nobody_has_used_is_empty", "test_another_owners_instance_stays"
    assert failed(Suite(), tmp_path, good, owner) == {owner}


def test_flags_that_ignore_tokens_fail(tmp_path: Path) -> None:
    class Late(FlagdFlags):
        def put_flag(self, fence: int, key: str, flag: Mapping[str, Any] | None) -> None:
            super().put_flag(max(fence, self.newest()), key, flag)

    class Suite(TestFlagd):
        def make(self, tmp_path: Path, scope: str = "") -> FlagStore:
            return Late(FlagdSettings(), tmp_path, scope)

    assert failed(Suite(), tmp_path, "test_a_flag_is_read_back_as_it_was_written") == set()
    (tmp_path / "late").mkdir()
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        Suite().test_a_late_write_changes_nothing(tmp_path / "late", "put_flag")


def test_telemetry_that_reads_from_the_beginning_fails(tmp_path: Path) -> None:
    class Forgetful(JsonLines):
        def read(self, cursor: Cursor, until: Cursor | None = None) -> TelemetryBatch:
            return super().read({}, until)

    class Suite(TestJsonLines):
        def make(self, tmp_path: Path) -> TelemetrySource:
            return Forgetful(JsonLinesSettings(path="telemetry"), tmp_path)

    good, bad = "test_one_request_is_found_by_its_id", "test_each_request_is_read_once_by_one_process"
    end = "test_what_was_known_before_the_end_is_not_read_after_it"
    assert failed(Suite(), tmp_path, good, bad, end) == {bad, end}


def test_an_evaluator_that_hides_a_failure_in_a_number_fails(tmp_path: Path) -> None:
    class Hopeful:
        settings_model = DataPlaneSettings

        def evaluate(self, release: Any, suite: Path, *_: Any) -> Mapping[str, Any]:
            files = list(suite.glob("*.jsonl"))
            return {"cases": 1, "metrics": {"recall": 1.0 if files else float("nan")}}

    class Suite(TestDataPlane):
        answer = staticmethod(_data_plane)
        address = ""

        def make(self, tmp_path: Path) -> SuiteRunner:
            return Hopeful()

    good, bad = "test_a_suite_gives_cases_and_metrics", "test_a_suite_that_can_not_be_run_is_one_clear_error"
    assert failed(Suite(), tmp_path, good, bad) == {bad}


class LooseProfile(Profile):
    station: Literal["loose"] = "loose"


@pytest.fixture
def loose() -> Iterator[type[Station]]:
    @station("loose", LooseProfile)
    class Loose(ProcessStation):
        def serve(self, visit: Visit) -> Generator[simpy.Event, Any, None]:
            yield self.clock.timeout(random.random())

    yield Loose
    del stations._REGISTERED["loose"]


@pytest.mark.usefixtures("loose")
def test_a_station_with_luck_of_its_own_fails(tmp_path: Path) -> None:
    class Suite(StationConformance):
        def make(self) -> Mapping[str, Any]:
            return {"station": "loose"}

    good, bad = "test_every_request_ends_once_and_not_before_it_came", "test_the_same_seed_gives_the_same_times"
    own = "test_a_requests_luck_is_its_own"
    assert failed(Suite(), tmp_path, good, bad, own) == {bad, own}
