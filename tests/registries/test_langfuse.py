"""Prompts of a server that speaks Langfuse's API, which Langfuse's own client confirms."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollcast.stacks.artifacts import cache
from rollcast.stacks.base.errors import StackError
from rollcast.stacks.registries.langfuse import LangfuseRegistry
from rollcast.stacks.registries.sources import Registry
from rollcast.testing.registries import RegistryConformance
from tests.registries import web as behaviours
from tests.registries.locking import content, declare, locked, run
from tests.registries.prompt_server import PromptServer
from tests.registries.web import Handler, Misbehaviour


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[PromptServer]:
    with PromptServer() as running:
        monkeypatch.delenv("LANGFUSE_HOST", raising=False)
        monkeypatch.setenv("LANGFUSE_BASE_URL", running.address)
        monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", running.public)
        monkeypatch.setenv("LANGFUSE_SECRET_KEY", running.secret)
        running.put("greet", "Hello {{name}}")
        yield running


class TestLangfuse(RegistryConformance):
    absent = "absent/production"
    mistaken = "greet"

    @pytest.fixture(autouse=True)
    def _served(self, server: PromptServer) -> None:
        self.server = server

    def make(self) -> Registry:
        return LangfuseRegistry()

    def put(self, project: Path, text: str) -> str:
        self.server.put("a folder/bot", text)
        return "a folder/bot/production"


@pytest.mark.parametrize("rest", ["", "greet", "greet/", "/production", "greet/a b", "../x/1", "a/../b/1", "greet@1"])
def test_what_is_no_source_is_refused(rest: str) -> None:
    assert LangfuseRegistry().mistake(rest)


def test_the_server_is_a_langfuse_to_langfuses_own_client(server: PromptServer) -> None:
    """Else all of these tests would show only what we wish Langfuse to be."""
    server.put("talk", [{"role": "system", "content": "Be kind"}, {"type": "placeholder", "name": "history"}])
    server.put("folder/all", "@@@langfusePrompt:name=greet|label=production@@@!", config={"temperature": 0})
    program = """
import json
from langfuse import Langfuse
client = Langfuse(tracing_enabled=False)
whole = client.get_prompt("folder/all", label="production")
talk = client.get_prompt("talk", version=1, type="chat")
raw = client.api.prompts.get("folder%2Fall")
print(json.dumps([whole.prompt, whole.version, whole.config, len(talk.prompt), raw.resolution_graph["root"]["name"]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ), timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["Hello {{name}}!", 1, {"temperature": 0}, 2, "folder/all"]


def test_a_label_that_moves_is_shown(server: PromptServer, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(project, "langfuse:greet/production")
    assert run(project, "lock") == 0
    assert locked(project)["identity"] == "langfuse:greet/1"
    server.put("greet", "Hi {{name}}")
    assert content(project) == {"prompt.txt": b"Hello {{name}}"}, "what is locked, wherever the label leads by now"
    assert run(project, "lock", "--check") != 0
    capsys.readouterr()
    assert run(project, "lock", "--update", "a0") == 0
    assert locked(project)["identity"] == "langfuse:greet/2"
    assert content(project) == {"prompt.txt": b"Hi {{name}}"}


def test_a_version_that_includes_what_has_changed_is_seen(server: PromptServer, project: Path) -> None:
    server.put("all", "@@@langfusePrompt:name=greet|label=production@@@!")
    declare(project, "langfuse:all/1")
    assert run(project, "lock") == 0
    assert LangfuseRegistry().resolve("all/1", project).lineage == ("langfuse:greet/1",)
    server.put("greet", "Hi {{name}}")
    with pytest.raises(StackError, match="the lock pins"):
        content(project)
    assert cache.entries() == []
    assert run(project, "lock", "--check") != 0


def test_a_chat_is_its_messages_and_its_config(server: PromptServer, project: Path) -> None:
    messages = [{"role": "system", "content": "é"}, {"type": "placeholder", "name": "history"}]
    server.put("talk", [{"type": "chatmessage", **messages[0]}, messages[1]], config={"temperature": 0})
    declare(project, "langfuse:talk/latest")
    assert run(project, "lock") == 0
    found = content(project)
    assert json.loads(found["messages.json"]) == messages, "as older servers write it, so that no upgrade changes it"
    assert json.loads(found["config.json"]) == {"temperature": 0}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: "@@@" not in text))
def test_whatever_its_text_is_it_is_what_is_used(server: PromptServer, tmp_path: Path, text: str) -> None:
    number = server.put("any", text)
    declare(tmp_path, f"langfuse:any/{number}")
    (tmp_path / "rollcast.lock").unlink(missing_ok=True)
    assert run(tmp_path, "lock") == 0
    assert content(tmp_path) == {"prompt.txt": text.encode()}


@pytest.mark.parametrize("source", ["absent/production", "greet/9", "greet/staging"])
def test_what_is_absent_is_said(
    server: PromptServer, project: Path, source: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, f"langfuse:{source}")
    assert run(project, "lock") == 1
    assert "has no prompt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LANGFUSE_SECRET_KEY", "", "are not both set"),
        ("LANGFUSE_SECRET_KEY", "sk-other", "does not let you read"),
        ("LANGFUSE_BASE_URL", "ftp://x", "no address of http"),
        ("LANGFUSE_BASE_URL", "http://127.0.0.1:1", "can't be reached"),
    ],
)
def test_an_environment_that_is_wrong_is_said_without_a_key(
    server: PromptServer,
    project: Path,
    name: str,
    value: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, value)
    declare(project, "langfuse:greet/1")
    assert run(project, "lock") == 1
    error = capsys.readouterr().err
    assert said in error
    assert server.secret not in error
    assert "sk-other" not in error


def test_keys_are_written_nowhere(server: PromptServer, project: Path) -> None:
    declare(project, "langfuse:greet/1")
    assert run(project, "lock") == 0
    content(project)
    written = [path for folder in (project, cache.root()) for path in folder.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if server.secret.encode() in path.read_bytes()]


# ---- a server that does wrong -------------------------------------------------------------------


def changed(**about: Any) -> Misbehaviour:
    """The right answer, with something else in it."""

    def wrong(handler: Handler, body: bytes) -> None:
        handler.answer(200, json.dumps({**json.loads(body), **about}).encode())

    return wrong


WRONG = [
    (behaviours.failing, "answered 500"),
    (behaviours.html, "no JSON"),
    (behaviours.truncated, "can't be reached"),
    (behaviours.endless, "with more than"),
    (lambda handler, body: handler.answer(418, body), "answered 418"),
    (lambda handler, body: handler.answer(200, b"[]"), "another thing"),
    (changed(version="../2"), "another thing"),
    (changed(version=2), "another thing"),
    (changed(name="other"), "another thing"),
    (changed(prompt=None), "no text and no messages"),
    (changed(prompt={}), "no text and no messages"),
    (changed(prompt=[1]), "messages that can't be read"),
    (changed(prompt="\ud800"), "no Unicode text"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG, ids=range(len(WRONG)))
def test_an_answer_that_is_wrong_is_refused_and_nothing_is_left(
    server: PromptServer, project: Path, wrong: Misbehaviour, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, "langfuse:greet/1")
    server.misbehaving["/api/public/v2/prompts/greet"] = wrong
    assert run(project, "lock") == 1
    assert said in capsys.readouterr().err
    assert not (project / "rollcast.lock").exists()
    server.misbehaving.clear()
    assert run(project, "lock") == 0
    server.misbehaving["/api/public/v2/prompts/greet"] = wrong
    with pytest.raises(StackError, match=said):
        content(project)
    assert cache.entries() == []


@pytest.mark.parametrize("more", ["", "x" * 100])
def test_a_version_that_was_written_over_is_refused(server: PromptServer, project: Path, more: str) -> None:
    declare(project, "langfuse:greet/1")
    assert run(project, "lock") == 0
    server.prompts["greet"][0]["prompt"] = "Hullo {{name}}" + more
    with pytest.raises(StackError, match="the lock pins"):
        content(project)
    assert cache.entries() == []
