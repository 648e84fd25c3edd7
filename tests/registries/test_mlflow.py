"""Models and prompts of a real MLflow 3 server, filled by its own client."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rollcast.stacks.artifacts import cache
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.mlflow import MlflowRegistry
from rollcast.stacks.registries.sources import Registry
from rollcast.testing.registries import RegistryConformance
from tests.registries import web as behaviours
from tests.registries.locking import content, declare, locked, run
from tests.registries.mlflow_server import Gateway, MlflowProcess
from tests.registries.web import Misbehaviour

FILES = {"MLmodel": "flavors: {}", "weights.bin": "w" * 5000, "deep/er/vocab é.txt": "a b"}
BODIES = {name: text.encode() for name, text in FILES.items()}


@pytest.fixture(scope="module")
def server() -> Iterator[MlflowProcess]:
    with MlflowProcess() as running:
        running.do("model", name="bot", files=FILES, alias="champion", dataset="tickets")
        running.do("prompt", name="greet", template="Hello {{name}}", alias="prod")
        yield running


@pytest.fixture(autouse=True)
def _address(server: MlflowProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)


@pytest.fixture
def gateway(server: MlflowProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    with Gateway(server.address) as running:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.address)
        yield running


class TestModels(RegistryConformance):
    absent = "models:/absent/1"
    mistaken = "models:/bot"

    @pytest.fixture(autouse=True)
    def _served(self, server: MlflowProcess) -> None:
        self.server = server

    def make(self) -> Registry:
        return MlflowRegistry()

    def put(self, project: Path, text: str) -> str:
        self.server.do("model", name="conform", files={"prompt.txt": text}, alias="now")
        return "models:/conform@now"


class TestPrompts(RegistryConformance):
    absent = "prompts:/absent@prod"
    mistaken = "prompts:/greet/staging"

    @pytest.fixture(autouse=True)
    def _served(self, server: MlflowProcess) -> None:
        self.server = server

    def make(self) -> Registry:
        return MlflowRegistry()

    def put(self, project: Path, text: str) -> str:
        self.server.do("prompt", name="conform-prompt", template=text, alias="now")
        return "prompts:/conform-prompt@now"


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("models:/bot", "names no version"),
        ("models:bot/1", "names no version"),
        ("models:/bot/1/2", "names no version"),
        ("models:/m-8e1c48540b424244a488c88842ee2a73", "names no version"),
        ("runs:/1/model", "names no version"),
        ("models:/bot/Production", "has given up"),
        ("models:/bot/champion", "is a number"),
        ("prompts:/greet/-1", "is a number"),
    ],
)
def test_what_is_no_source_is_refused(rest: str, said: str) -> None:
    assert said in MlflowRegistry().mistake(rest)


@pytest.mark.parametrize("rest", ["models:/bot@champion", "models:/bot/1", "models:/bot/latest", "models:/bot@latest"])
def test_a_name_of_a_version_is_pinned_to_it(server: MlflowProcess, project: Path, rest: str) -> None:
    declare(project, f"mlflow:{rest}")
    assert run(project, "lock") == 0
    assert locked(project)["identity"] == "mlflow:models:/bot/1"
    assert locked(project)["covers"] == "files"
    assert locked(project)["size"] == sum(map(len, BODIES.values()))
    assert content(project) == BODIES


def test_an_alias_that_moves_is_shown(server: MlflowProcess, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.do("model", name="moves", files={"a": "one"}, alias="now")
    declare(project, "mlflow:models:/moves@now")
    assert run(project, "lock") == 0
    server.do("model", name="moves", files={"a": "two"}, alias="now")
    assert content(project) == {"a": b"one"}, "what is locked, wherever the alias leads by now"
    assert run(project, "lock", "--check") != 0
    capsys.readouterr()
    assert run(project, "lock", "--update", "a0") == 0
    assert "pushed" in capsys.readouterr().out
    assert locked(project)["identity"] == "mlflow:models:/moves/2"


def test_a_model_that_was_logged_and_registered_in_one_call(server: MlflowProcess, project: Path) -> None:
    version = server.do("logged", name="echo")["version"]
    declare(project, f"mlflow:models:/echo/{version}")
    assert run(project, "lock") == 0
    assert "MLmodel" in content(project)


def test_lineage_is_the_run_and_the_datasets_that_it_read(server: MlflowProcess, project: Path) -> None:
    first, second = MlflowRegistry().resolve("models:/bot/1", project).lineage
    assert first.startswith("mlflow:runs:/")
    assert second.startswith("tickets@")


def test_files_that_were_exchanged_behind_a_version_are_refused(server: MlflowProcess, project: Path) -> None:
    made = server.do("model", name="exchanged", files={"weights.bin": "mine"})
    declare(project, "mlflow:models:/exchanged/1")
    assert run(project, "lock") == 0
    shutil.rmtree(cache.root())
    (there,) = (server.folder / "artifacts").rglob(f"{made['run']}/artifacts/model/weights.bin")
    there.write_text("them")
    with pytest.raises(StackError, match="the lock pins"):
        content(project)
    assert cache.entries() == []


def test_another_model_of_equal_name_and_number_is_refused(server: MlflowProcess, project: Path) -> None:
    server.do("model", name="again", files={"a": "mine"})
    declare(project, "mlflow:models:/again/1")
    assert run(project, "lock") == 0
    server.do("delete", name="again")
    assert server.do("model", name="again", files={"a": "them"})["version"] == "1"
    shutil.rmtree(cache.root())
    with pytest.raises(StackError, match="the lock pins"):
        content(project)
    assert cache.entries() == []


def test_a_prompt_is_its_text_or_its_messages(server: MlflowProcess, project: Path) -> None:
    messages = [{"role": "system", "content": "Be kind to {{name}}"}, {"role": "user", "content": "é"}]
    server.do("prompt", name="talk", template=messages, model_config={"temperature": 0.1}, response_format={"a": 1})
    declare(project, "mlflow:prompts:/greet@prod", "mlflow:prompts:/talk/1")
    assert run(project, "lock") == 0
    assert locked(project)["identity"] == "mlflow:prompts:/greet/1"
    assert content(project, "a0@1") == {"prompt.txt": b"Hello {{name}}"}
    found = content(project, "a1@1")
    assert json.loads(found["messages.json"]) == messages
    assert json.loads(found["config.json"])["temperature"] == 0.1
    assert json.loads(found["response_format.json"]) == {"a": 1}


def test_a_prompt_that_was_written_over_is_seen(
    server: MlflowProcess, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.do("prompt", name="over", template="mine")
    declare(project, "mlflow:prompts:/over/1")
    assert run(project, "lock") == 0
    tag = {"name": "over", "version": "1", "key": "mlflow.prompt.text", "value": "theirs"}
    httpx.post(f"{server.address}{API}/model-versions/set-tag", json=tag).raise_for_status()
    with pytest.raises(StackError, match="the lock pins"):
        content(project)
    assert cache.entries() == []
    assert run(project, "lock", "--check") != 0


@pytest.mark.parametrize(
    ("rest", "said"),
    [
        ("models:/absent/1", "has no model 'absent/1'"),
        ("models:/bot/9", "has no model 'bot/9'"),
        ("models:/bot@absent", "has no model 'bot@absent'"),
        ("models:/absent/latest", "has no model"),
        ("models:/greet/1", "Write 'mlflow:prompts:/greet"),
        ("prompts:/bot/1", "Write 'mlflow:models:/bot"),
    ],
)
def test_what_is_absent_or_of_another_kind_is_said(
    project: Path, rest: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, f"mlflow:{rest}")
    assert run(project, "lock") == 1
    assert said in capsys.readouterr().err


def test_files_that_the_server_does_not_serve_are_refused(
    server: MlflowProcess, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.do("elsewhere", name="far", source="s3://bucket/secret-path")
    declare(project, "mlflow:models:/far/1")
    assert run(project, "lock") == 1
    assert "a store of kind 's3'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "said"),
    [("", "is not set"), ("sqlite:///here.db", "no address of http"), ("http://127.0.0.1:1", "can't be reached")],
)
def test_a_server_that_is_not_named_or_not_there_is_said(
    project: Path, address: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    declare(project, "mlflow:models:/bot/1")
    assert run(project, "lock") == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variables", "file", "wanted"),
    [
        ({"USERNAME": "ann", "PASSWORD": "pw"}, "", "Basic YW5uOnB3"),
        ({}, "[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = pw\n", "Basic YW5uOnB3"),
        ({"TOKEN": "s3cret"}, "", "Bearer s3cret"),
    ],
)
def test_credentials_are_those_of_mlflows_own_tools_and_are_written_nowhere(
    gateway: Gateway,
    project: Path,
    tmp_path: Path,
    variables: dict[str, str],
    file: str,
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gateway.wanted = wanted
    declare(project, "mlflow:models:/bot/1")
    assert run(project, "lock") == 1
    assert "MLFLOW_TRACKING_TOKEN" in capsys.readouterr().err
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    if file:
        (tmp_path / "home" / ".mlflow").mkdir(parents=True)
        (tmp_path / "home" / ".mlflow" / "credentials").write_text(file)
    assert run(project, "lock") == 0
    written = [path for folder in (project, cache.root()) for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in written if b"s3cret" in path.read_bytes() or b"YW5uOnB3" in path.read_bytes()]


# ---- a server that does wrong -------------------------------------------------------------------

API = "/api/2.0/mlflow"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"


def answering(value: Any) -> Misbehaviour:
    return lambda handler, body: handler.answer(200, json.dumps(value).encode())


def listing(*files: dict[str, Any]) -> Misbehaviour:
    return answering({"files": list(files)})


WRONG = [
    (f"{API}/model-versions/get", behaviours.failing, "answered 500"),
    (f"{API}/model-versions/get", behaviours.html, "no JSON"),
    (f"{API}/model-versions/get", behaviours.truncated, "can't be reached"),
    (f"{API}/model-versions/get", behaviours.endless, "with more than"),
    (f"{API}/model-versions/get", lambda handler, body: handler.answer(404, b"<html>"), "as no MLflow server does"),
    (f"{API}/model-versions/get", answering([]), "as no MLflow server does"),
    (f"{API}/model-versions/get", answering({"model_version": {"name": "other"}}), "another thing"),
    (f"{API}/model-versions/get", answering({"model_version": {"name": "bot", "version": "../1"}}), "names no version"),
    (
        f"{API}/model-versions/get",
        answering({"model_version": {"name": "bot", "version": "1", "status": "PENDING_REGISTRATION"}}),
        "is not ready",
    ),
    (f"{API}/model-versions/get-download-uri", answering({"artifact_uri": "mlflow-artifacts:/../../x"}), "leads out"),
    (
        f"{API}/model-versions/get-download-uri",
        answering({"artifact_uri": "mlflow-artifacts://elsewhere.example/x"}),
        "is served by elsewhere.example",
    ),
    (f"{API}/model-versions/get-download-uri", answering({}), "a store of kind ''"),
    (PROXY, behaviours.failing, "answered 500"),
    (PROXY, behaviours.html, "no JSON"),
    (PROXY, listing(), "has no file of"),
    (PROXY, listing({"path": "../../outside", "file_size": 1}), "leads out of its folder"),
    (PROXY, listing({"path": "..", "is_dir": True}), "leads out of its folder"),
    (PROXY, listing({"path": "/etc/passwd", "file_size": 1}), "leads out of its folder"),
    (PROXY, listing({"file_size": 1}), "can't be read"),
    (PROXY, listing({"path": "a", "file_size": "many"}), "can't be read"),
    (PROXY, listing({"path": "deeper", "is_dir": True}), "without an end"),
    (PROXY, answering({"files": 1}), "can't be read"),
]


@pytest.mark.parametrize(("path", "wrong", "said"), WRONG, ids=range(len(WRONG)))
def test_an_answer_that_is_wrong_is_refused_and_nothing_is_left(
    gateway: Gateway, project: Path, path: str, wrong: Misbehaviour, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, "mlflow:models:/bot/1")
    gateway.misbehaving[path] = wrong
    assert run(project, "lock") == 1
    assert said in capsys.readouterr().err
    assert not (project / "rollcast.lock").exists()
    assert cache.entries() == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (behaviours.failing, "answered 500"),
        (behaviours.html, "broke off"),
        (behaviours.truncated, "broke off"),
        (behaviours.endless, "more than the"),
        (lambda handler, body: handler.answer(200, b"x" * len(body)), "the lock pins"),
    ],
)
def test_a_file_that_is_wrong_is_refused_and_nothing_is_left(
    gateway: Gateway, server: MlflowProcess, project: Path, wrong: Misbehaviour, said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("rollcast.stacks.registries.transfer._PAUSE_S", 0.01)
    declare(project, "mlflow:models:/bot/1")
    assert run(project, "lock") == 0
    (path,) = {asked.path for asked in gateway.asked if asked.path.endswith("weights.bin")}
    shutil.rmtree(cache.root())
    gateway.misbehaving[path] = wrong
    with pytest.raises(StackError, match=said):
        content(project)
    assert cache.entries() == []
    gateway.misbehaving.clear()
    assert content(project) == BODIES, "it goes on as soon as the server is right"


PROMPTS = [
    (answering({"model_version": {"name": "greet", "version": "1", "tags": 1}}), "is one of the models"),
    (
        answering({"model_version": {
            "name": "greet", "version": "1", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}],
        }}),
        "no text and no messages",
    ),
    (
        answering({"model_version": {
            "name": "greet", "version": "1",
            "tags": [
                {"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "_mlflow_prompt_type", "value": "chat"},
                {"key": "mlflow.prompt.text", "value": "[1]"},
            ],
        }}),
        "messages that can't be read",
    ),
    (behaviours.html, "no JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "said"), PROMPTS, ids=range(len(PROMPTS)))
def test_a_prompt_that_is_wrong_is_refused(
    gateway: Gateway, project: Path, wrong: Misbehaviour, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, "mlflow:prompts:/greet/1")
    gateway.misbehaving[f"{API}/model-versions/get"] = wrong
    assert run(project, "lock") == 1
    assert said in capsys.readouterr().err
