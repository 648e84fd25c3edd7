"""Repositories on a server that speaks the Hub's API, which the Hub's own client confirms."""

from __future__ import annotations

import ast
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
from rollcast.stacks.registries.hf import HfRegistry
from rollcast.stacks.registries.sources import Registry
from rollcast.testing.registries import RegistryConformance
from tests.registries import web as behaviours
from tests.registries.api import Asked
from tests.registries.hub import Hub
from tests.registries.locking import content, declare, locked, run
from tests.registries.web import Handler, Misbehaviour

NAME = "acme/bot"
FILES = {"README.md": b"# bot", "config.json": b"{}", "weights.safetensors": b"w" * 5000, "deep/er/vocab.txt": b"a b"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub with one repository, and nobody logged in."""
    with Hub() as running:
        monkeypatch.setenv("HF_ENDPOINT", running.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.delenv("HF_TOKEN", raising=False)
        running.commit(NAME, FILES)
        yield running


class TestHf(RegistryConformance):
    absent = "acme/nothing@main"
    mistaken = "acme/bot"

    @pytest.fixture(autouse=True)
    def _served(self, hub: Hub) -> None:
        self.hub = hub

    def make(self) -> Registry:
        return HfRegistry()

    def put(self, project: Path, text: str) -> str:
        self.hub.commit(NAME, {"prompt.txt": text.encode(), "w.bin": text.encode() * 2})
        return f"{NAME}@main"


@pytest.mark.parametrize(
    "rest",
    ["", "acme/bot", "acme/bot@", "a/b/c@main", "acme/bot@../main", "acme/bot@main#../x", "acme/bot@main#/x", "-a/b@x"],
)
def test_what_is_no_source_is_refused(rest: str) -> None:
    assert HfRegistry().mistake(rest)


def test_the_server_is_a_hub_to_the_hubs_own_client(hub: Hub, tmp_path: Path) -> None:
    """Else all of these tests would show only what we wish the Hub to be."""
    hub.commit("datasets/acme/tickets", {"data.csv": b"a,b"})
    program = f"""
from huggingface_hub import HfApi, snapshot_download
api = HfApi(endpoint={hub.address!r})
print(api.model_info({NAME!r}, revision="main").sha)
print(sorted((e.path, e.size, e.blob_id, e.lfs.sha256 if e.lfs else "") for e in
    api.list_repo_tree({NAME!r}, recursive=True) if hasattr(e, "blob_id")))
api.auth_check({NAME!r})
snapshot_download({NAME!r}, local_dir={str(tmp_path / "all")!r}, endpoint={hub.address!r})
snapshot_download(
    "acme/tickets", repo_type="dataset", local_dir={str(tmp_path / "tickets")!r}, endpoint={hub.address!r}
)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1"}, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    commit, listed = done.stdout.splitlines()
    assert commit == hub.repositories[NAME].refs["main"]
    assert [entry[:2] for entry in ast.literal_eval(listed)] == sorted(
        (path, len(body)) for path, body in FILES.items()
    )
    assert {path: (tmp_path / "all" / path).read_bytes() for path in FILES} == FILES
    assert (tmp_path / "tickets" / "data.csv").read_bytes() == b"a,b"


def test_a_branch_is_pinned_to_its_commit(hub: Hub, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(project, f"hf:{NAME}@main")
    assert run(project, "lock") == 0
    first = hub.repositories[NAME].refs["main"]
    assert locked(project)["identity"] == f"hf:{NAME}@{first}"
    assert locked(project)["covers"] == "manifest"
    assert locked(project)["size"] == sum(map(len, FILES.values()))
    second = hub.commit(NAME, {**FILES, "config.json": b"[]"})
    assert content(project) == FILES, "what is locked, wherever the branch leads by now"
    assert run(project, "lock", "--update", "a0") == 0
    assert "pushed" in capsys.readouterr().out
    assert locked(project)["identity"] == f"hf:{NAME}@{second}"


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("deep", {"er/vocab.txt": b"a b"}), ("config.json", {"config.json": b"{}"})],
)
def test_a_path_is_a_folder_or_a_file(hub: Hub, project: Path, path: str, wanted: dict[str, bytes]) -> None:
    declare(project, f"hf:{NAME}@main#{path}")
    assert run(project, "lock") == 0
    assert content(project) == wanted


def test_a_dataset_a_tag_and_a_pull_request_are_revisions_too(hub: Hub, project: Path) -> None:
    hub.commit("datasets/acme/tickets", {"data.csv": b"a"}, "v1")
    hub.commit("datasets/acme/tickets", {"data.csv": b"b"}, "refs/pr/1")
    declare(project, "hf:datasets/acme/tickets@v1", "hf:datasets/acme/tickets@refs/pr/1")
    assert run(project, "lock") == 0
    assert content(project, "a0@1") == {"data.csv": b"a"}
    assert content(project, "a1@1") == {"data.csv": b"b"}


def test_a_card_says_what_it_was_made_from(hub: Hub, project: Path) -> None:
    hub.repositories[NAME].card = {"base_model": "acme/base", "datasets": ["acme/tickets"]}
    assert HfRegistry().resolve(f"{NAME}@main", project).lineage == ("hf:acme/base", "hf:datasets/acme/tickets")


def test_what_a_card_names_without_a_revision_is_the_one_that_is_locked(
    hub: Hub, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.repositories[NAME].card = {"base_model": "acme/base", "datasets": ["acme/tickets"]}
    hub.commit("acme/base", {"weights.txt": b"a"})
    hub.commit("datasets/acme/tickets", {"data.csv": b"a"}, "v1")
    hub.commit("datasets/acme/tickets", {"data.csv": b"b"}, "v2")
    tickets = "hf:datasets/acme/tickets"
    declare(project, f"hf:{NAME}@main", "hf:acme/base@main", f"{tickets}@v1", f"{tickets}@v2")
    assert run(project, "lock") == 0
    capsys.readouterr()
    assert run(project, "lineage", "a0", "--format", "json") == 0
    nodes = {node["reference"] for node in json.loads(capsys.readouterr().out)["artifacts"]}
    assert nodes == {"a0@1", "a1@1", tickets}, "of two revisions nobody knows which was meant"


def test_a_large_file_goes_on_where_it_was_broken_off(hub: Hub, project: Path) -> None:
    body = bytes(range(256)) * 20_000
    hub.commit(NAME, {"weights.bin": body})
    declare(project, f"hf:{NAME}@main")
    assert run(project, "lock") == 0

    def half_then_all(handler: Handler, body: bytes) -> None:
        hub.cdn.misbehaving.clear()
        behaviours.truncated(handler, body)

    hub.reply(_file(hub, "weights.bin"))
    (path,) = hub.cdn.files
    hub.cdn.misbehaving[path] = half_then_all
    assert content(project) == {"weights.bin": body}
    first, second = (said for _, _, said in hub.cdn.seen)
    assert first == ""
    assert int(second.removeprefix("bytes=").rstrip("-")) > 0, "the second half alone is asked for"


# ---- who may read -------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["HF_TOKEN", "HF_HOME", "HF_TOKEN_PATH"])
def test_the_token_is_found_where_the_hubs_tools_find_it_and_goes_to_no_other_host(
    hub: Hub, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    hub.repositories[NAME].private = True
    declare(project, f"hf:{NAME}@main")
    assert run(project, "lock") == 1, "nobody is logged in"
    if where == "HF_TOKEN":
        monkeypatch.setenv(where, hub.token)
    else:
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(f"{hub.token}\n")
        monkeypatch.setenv(where, str(tmp_path / "hf" / ("" if where == "HF_HOME" else "token")))
    assert run(project, "lock") == 0
    assert content(project) == FILES
    assert {asked.authorization for asked in hub.cdn.asked} == {""}, "large files come from another host"
    written = [path for folder in (project, cache.root()) for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in written if hub.token.encode() in path.read_bytes()]


def test_a_gated_repository_says_what_to_do(hub: Hub, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.repositories[NAME].gated = True
    declare(project, f"hf:{NAME}@main")
    assert run(project, "lock") == 1
    assert "is gated" in (said := capsys.readouterr().err)
    assert "hf auth login" in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("acme/absent@main", "that you may read"),
        (f"{NAME}@absent", "has no 'absent'"),
        (f"{NAME}@main#absent", "has no 'absent'"),
    ],
)
def test_what_is_absent_is_said(
    hub: Hub, project: Path, source: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, f"hf:{source}")
    assert run(project, "lock") == 1
    assert said in capsys.readouterr().err


# ---- a Hub that does wrong ----------------------------------------------------------------------


def changed(**about: Any) -> Misbehaviour:
    """A list of files whose first file is another one."""

    def wrong(handler: Handler, body: bytes) -> None:
        entries = json.loads(body)
        entries[0].update(about)
        handler.answer(200, json.dumps(entries).encode())

    return wrong


def goes_on(link: str) -> Misbehaviour:
    """A list that goes on elsewhere, or for ever."""

    def wrong(handler: Handler, body: bytes) -> None:
        handler.answer(200, body, {"link": f'<{link or handler.path}>; rel="next"'})

    return wrong


def empty(handler: Handler, body: bytes) -> None:
    handler.answer(200, b"[]", {"link": f'<{handler.path}>; rel="next"'})


def _tree(hub: Hub) -> str:
    return f"/api/models/{NAME}/tree/{hub.repositories[NAME].refs['main']}"


def _file(hub: Hub, name: str) -> Asked:
    return Asked("GET", f"/{NAME}/resolve/{hub.repositories[NAME].refs['main']}/{name}", {}, "")


WRONG_LISTS = [
    (behaviours.failing, "answered 500"),
    (behaviours.html, "no JSON"),
    (behaviours.truncated, "can't be reached"),
    (behaviours.swapped, "no JSON"),
    (behaviours.endless, "with more than"),
    (changed(path="../../outside"), "leads out of its folder"),
    (changed(path="/etc/passwd"), "leads out of its folder"),
    (changed(size=-1), "can't be read"),
    (changed(size="1"), "can't be read"),
    (changed(oid="12"), "can't be read"),
    (changed(path="\ud800"), "no Unicode text"),
    (lambda handler, body: handler.answer(200, b'{"error": "?"}'), "no list of files"),
    (lambda handler, body: handler.answer(200, b"[1]"), "can't be read"),
    (goes_on(""), "without an end"),
    (empty, "without an end"),
    (goes_on("https://elsewhere.example/list"), "goes on at elsewhere.example"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG_LISTS, ids=range(len(WRONG_LISTS)))
def test_a_list_of_files_that_is_wrong_is_refused_and_nothing_is_written(
    hub: Hub,
    project: Path,
    wrong: Misbehaviour,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ROLLCAST_MAX_FILES", "20")
    declare(project, f"hf:{NAME}@main")
    hub.misbehaving[_tree(hub)] = wrong
    assert run(project, "lock") == 1
    assert said in capsys.readouterr().err
    assert not (project / "rollcast.lock").exists()
    hub.misbehaving.clear()
    assert run(project, "lock") == 0
    hub.misbehaving[_tree(hub)] = wrong
    with pytest.raises(StackError, match=said):
        content(project)
    assert cache.entries() == []
    assert len(hub.asked) < 100, "a list without an end is given up soon"


def test_a_commit_that_lists_other_files_than_it_did_is_refused(hub: Hub, project: Path) -> None:
    declare(project, f"hf:{NAME}@main")
    assert run(project, "lock") == 0
    repository = hub.repositories[NAME]
    repository.commits[repository.refs["main"]] = {**FILES, "config.json": b"[]"}
    with pytest.raises(StackError, match="lists other files"):
        content(project)
    assert cache.entries() == []


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (behaviours.failing, "answered 500"),
        (behaviours.html, "more than the|has the digest|is not what its list|broke off"),
        (behaviours.truncated, "broke off"),
        (behaviours.endless, "more than the"),
        (lambda handler, body: handler.answer(200, b"x" * len(body)), "has the digest|is not what its list"),
    ],
)
def test_a_file_that_is_wrong_is_refused_and_nothing_is_left(
    hub: Hub, project: Path, name: str, wrong: Misbehaviour, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollcast.stacks.registries.transfer._PAUSE_S", 0.01)
    declare(project, f"hf:{NAME}@main")
    assert run(project, "lock") == 0
    asked = _file(hub, name)
    hub.reply(asked)
    server, path = (hub.cdn, next(iter(hub.cdn.files))) if name.endswith(".safetensors") else (hub, asked.path)
    server.misbehaving[path] = wrong
    with pytest.raises(StackError, match=said):
        content(project)
    assert cache.entries() == []
    server.misbehaving.clear()
    assert content(project) == FILES, "it goes on as soon as the server is right"


PATHS = st.from_regex(r"[a-z]{1,3}(/[a-zé #%]{1,3}){0,2}\.(txt|bin)", fullmatch=True)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(PATHS, st.binary(max_size=200), min_size=1, max_size=8))
def test_whatever_files_a_commit_has_are_what_is_used(hub: Hub, tmp_path: Path, files: dict[str, bytes]) -> None:
    hub.commit(NAME, files)
    declare(tmp_path, f"hf:{NAME}@main")
    (tmp_path / "rollcast.lock").unlink(missing_ok=True)
    assert run(tmp_path, "lock") == 0
    assert content(tmp_path) == files
