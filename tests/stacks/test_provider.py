"""The provider: every operation idempotent, checked with property paths, cancellable, and gone with its engine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.provider.experimental import provider as api

from rollcast.planner.declaration.models import TargetSettings
from rollcast.planner.releases.releases import canonical, digest_of
from rollcast.stacks.base.errors import FenceError, StackError
from rollcast.stacks.engine.program import ResourceNode, program_of
from rollcast.stacks.engine.update import EngineStack
from rollcast.stacks.flags.definitions import content_digest
from rollcast.stacks.provider.inputs import failures
from rollcast.stacks.provider.plugin import RollcastProvider
from rollcast.stacks.provider.values import plain, properties
from rollcast.stacks.targets.opening import short_target
from tests.stacks.servers import postgres

TARGET = {"kind": "flagd", "definition": "live/flags.json", "instances": "live/instances"}
SETTINGS = TargetSettings(definition="live/flags.json", instances="live/instances")
DIGEST = digest_of("content")


def instance_inputs(root: Path, name: str = "one", build: list[str] | None = None) -> dict[str, Any]:
    """An instance made of a file of the project, or of what a program makes."""
    (root / "source").mkdir(exist_ok=True)
    (root / "source" / "model.json").write_text('{"weights": 1}')
    definition = {"kind": "reranker", "name": "r", "version": "1", "source": "file:source", "build": build}
    document = canonical({"pipeline": "p"})
    return {
        "target": TARGET,
        "folder": f"p/reranker/{name}",
        "reference": "r@1",
        "digest": DIGEST,
        "slot": "reranker",
        "release": "rel-1",
        "document": digest_of({"pipeline": "p"}),
        "documents": canonical({digest_of({"pipeline": "p"}): document}),
        "recipe": canonical({"definitions": {"r@1": definition}, "digests": {"r@1": DIGEST}}),
        "timeout_s": 60.0,
    }


def flag_inputs(value: int = 1) -> dict[str, Any]:
    flag = {
        "state": "ENABLED",
        "variants": {"on": {"release": f"rel-{value}"}},
        "defaultVariant": "on",
        "targeting": {},
    }
    return {
        "target": TARGET,
        "key": "rollcast-p",
        "flag": canonical(flag),
        "content": content_digest(flag),
        "endpoints": [],
        "documents": "{}",
        "timeout_s": 60.0,
    }


def drain_inputs(least_s: float) -> dict[str, Any]:
    return {"endpoints": [], "run": "ro/1", "releases": ["rel-1"], "least_s": least_s, "timeout_s": 60.0}


def provider(root: Path, fence: int = 1) -> RollcastProvider:
    """A provider whose engine hears nothing: progress is lost, which must not matter."""
    return RollcastProvider("127.0.0.1:1", root, fence)


def urn(kind: str, name: str = "x") -> str:
    return f"urn:pulumi:s::p::rollcast:live:{kind}::{name}"


def create(made: RollcastProvider, kind: str, inputs: dict[str, Any], preview: bool = False) -> dict[str, Any]:
    request = api.CreateRequest(urn(kind), properties(inputs), 0.0, preview)
    return plain(asyncio.run(made.create(request)).properties)


def delete(made: RollcastProvider, kind: str, state: dict[str, Any]) -> None:
    asyncio.run(made.delete(api.DeleteRequest(urn(kind), "x", properties(state), 0.0)))


def diff(made: RollcastProvider, kind: str, old: dict[str, Any], new: dict[str, Any]) -> api.DiffResponse:
    return asyncio.run(made.diff(api.DiffRequest(urn(kind), "x", properties(old), properties(new), [])))


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in (root / "live").rglob("*") if p.is_file()}


# ---- one operation at a time ------------------------------------------------------------------


def test_making_the_same_thing_twice_changes_nothing_more(tmp_path: Path) -> None:
    made = provider(tmp_path)
    for kind, inputs in (("Instance", instance_inputs(tmp_path)), ("Flag", flag_inputs())):
        create(made, kind, inputs)
        once = files(tmp_path)
        create(made, kind, inputs)
        assert files(tmp_path) == once
    placed = short_target(SETTINGS, tmp_path).placed()["p/reranker/one"]
    assert (placed.digest, placed.release, placed.slot) == (DIGEST, "rel-1", "reranker")


def test_deleting_what_is_gone_already_is_done(tmp_path: Path) -> None:
    made = provider(tmp_path)
    state = create(made, "Instance", instance_inputs(tmp_path))
    delete(made, "Instance", state)
    delete(made, "Instance", state)
    delete(made, "Flag", flag_inputs())
    assert short_target(SETTINGS, tmp_path).placed() == {}


@pytest.mark.parametrize(("first", "second"), [("one/a", "one"), ("one", "one/a")])
def test_an_instance_is_never_put_into_another(tmp_path: Path, first: str, second: str) -> None:
    made = provider(tmp_path)
    create(made, "Instance", {**instance_inputs(tmp_path), "folder": f"p/{first}"})
    with pytest.raises(StackError, match="in_place"):
        create(made, "Instance", {**instance_inputs(tmp_path), "folder": f"p/{second}"})
    assert list(short_target(SETTINGS, tmp_path).placed()) == [f"p/{first}"]


def test_a_preview_has_no_effect(tmp_path: Path) -> None:
    made = provider(tmp_path)
    for kind, inputs in (("Instance", instance_inputs(tmp_path)), ("Flag", flag_inputs()), ("Drain", drain_inputs(99))):
        create(made, kind, inputs, preview=True)
    assert not (tmp_path / "live").exists()


def test_diff_reads_the_world_and_not_what_is_remembered(tmp_path: Path) -> None:
    made, inputs = provider(tmp_path), flag_inputs()
    assert diff(made, "Flag", inputs, inputs).changes is True, "remembered, but not there"
    create(made, "Flag", inputs)
    assert diff(made, "Flag", {}, inputs).changes is False, "there, but not remembered"
    path = tmp_path / "live/flags.json"
    path.write_text(path.read_text().replace("rel-1", "rel-9"))
    assert diff(made, "Flag", inputs, inputs).changes is True, "edited by hand"
    state = create(made, "Instance", instance_inputs(tmp_path))
    shutil.rmtree(tmp_path / "live/instances/p/reranker/one")
    assert diff(made, "Instance", state, state).changes is True


def test_another_place_is_another_resource(tmp_path: Path) -> None:
    old = instance_inputs(tmp_path)
    moved = diff(provider(tmp_path), "Instance", old, {**old, "folder": "p/reranker/two"})
    assert moved.replaces == ["folder"]


def test_read_gives_what_is_there_and_nothing_where_nothing_is(tmp_path: Path) -> None:
    made, inputs = provider(tmp_path), flag_inputs()

    def read() -> api.ReadResponse:
        return asyncio.run(made.read(api.ReadRequest(urn("Flag"), "x", properties(inputs), properties(inputs))))

    assert not read().resource_id
    create(made, "Flag", inputs)
    path = tmp_path / "live/flags.json"
    path.write_text(path.read_text().replace("rel-1", "rel-9"))
    assert "rel-9" in plain(read().properties)["flag"]


def test_a_write_with_an_old_token_is_refused(tmp_path: Path) -> None:
    create(provider(tmp_path, fence=7), "Flag", flag_inputs(1))
    with pytest.raises(FenceError):
        create(provider(tmp_path, fence=6), "Flag", flag_inputs(2))
    assert "rel-1" in (tmp_path / "live/flags.json").read_text()


def test_cancel_ends_what_is_under_way(tmp_path: Path) -> None:
    made = provider(tmp_path)

    async def both() -> None:
        request = api.CreateRequest(urn("Drain"), properties(drain_inputs(50.0)), 0.0, False)
        task = asyncio.create_task(made.create(request))
        await asyncio.sleep(0.3)
        await made.cancel()
        await task

    with pytest.raises(StackError, match="cancelled"):
        asyncio.run(both())


def test_an_operation_that_takes_too_long_fails(tmp_path: Path) -> None:
    slow = instance_inputs(tmp_path, build=[sys.executable, "-c", "import time; time.sleep(60)"])
    with pytest.raises(StackError, match="took more than"):
        create(provider(tmp_path), "Instance", {**slow, "timeout_s": 0.5})
    assert short_target(SETTINGS, tmp_path).placed() == {}


def test_a_declaration_reaches_no_shell(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "pass", f"; touch {tmp_path}/owned", "$(touch owned)", "`touch owned`"]
    create(provider(tmp_path), "Instance", instance_inputs(tmp_path, build=words))
    assert not list(tmp_path.rglob("owned"))


# ---- check ------------------------------------------------------------------------------------

MISTAKES: list[tuple[str, str, Any]] = [
    ("Instance", "folder", "../outside"),
    ("Instance", "folder", "/etc"),
    ("Instance", "digest", "sha256:short"),
    ("Instance", "recipe", "{"),
    ("Instance", "timeout_s", 0.0),
    ("Instance", "target.definition", ""),
    ("Flag", "flag", "not json"),
    ("Drain", "least_s", -1.0),
]


@pytest.mark.parametrize(("kind", "path", "value"), MISTAKES)
def test_a_mistake_is_named_by_its_property_path(tmp_path: Path, kind: str, path: str, value: Any) -> None:
    made = {"Instance": instance_inputs(tmp_path), "Flag": flag_inputs(), "Drain": drain_inputs(1.0)}[kind]
    inputs = json.loads(json.dumps(made))
    *outer, last = path.split(".")
    place = inputs
    for name in outer:
        place = place[name]
    place[last] = value
    request = api.CheckRequest(urn(kind), {}, properties(inputs), b"")
    found = asyncio.run(provider(tmp_path).check(request)).failures or []
    assert [failure.property for failure in found] == [path]


@given(st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=8), max_size=6))
@settings(max_examples=50)
def test_no_inputs_whatever_get_past_check_or_break_it(inputs: dict[str, Any]) -> None:
    for kind in ("Instance", "Flag", "Warm", "Evaluate", "Drain", "Unheard"):
        assert list(failures(kind, inputs))


# ---- through the real engine ------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> EngineStack:
    return EngineStack(tmp_path, "p", "test", fence=1)


@pytest.mark.engine
def test_an_instance_a_flag_and_their_order_through_the_engine(world: EngineStack, tmp_path: Path) -> None:
    reported: list[str] = []
    program = [
        ResourceNode("Instance", "instance:one", instance_inputs(tmp_path, build=[sys.executable, "-c", "print(1)"])),
        ResourceNode("Drain", "drain:1", drain_inputs(0.0), ("instance:one",)),
        ResourceNode("Flag", "flag:p", flag_inputs(), ("drain:1",)),
    ]
    world._open().workspace.program = program_of(program)
    world._open().preview()
    assert not (tmp_path / "live").exists(), "a preview has no effect"
    world.up(program, reported.append)
    assert "building r@1" in reported, "long work reports that it is under way"
    assert list(short_target(SETTINGS, tmp_path).placed()) == ["p/reranker/one"]
    without = [ResourceNode("Drain", "drain:1", drain_inputs(0.0)), program[2]]
    world.up(without, reported.append)
    assert short_target(SETTINGS, tmp_path).placed() == {}

    bad = ResourceNode("Instance", "instance:two", {**instance_inputs(tmp_path, "two"), "folder": "../two"})
    with pytest.raises(StackError, match="folder"):
        world.up([*without, bad], reported.append)
    assert short_target(SETTINGS, tmp_path).flag("rollcast-p") is not None


@pytest.mark.engine
@pytest.mark.parametrize("kind", ["file", "postgres"])
def test_the_stack_state_is_kept_where_it_is_declared_and_recovered_there(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = [ResourceNode("Instance", "instance:one", instance_inputs(tmp_path))]
    with ExitStack() as servers:
        if kind == "file":
            (tmp_path / "elsewhere").mkdir()
            url = (tmp_path / "elsewhere").as_uri()
        else:
            server = servers.enter_context(postgres(tmp_path))
            url = server.database().replace("postgresql+psycopg://", "postgres://") + "?sslmode=disable"
        monkeypatch.setenv("PULUMI_BACKEND_URL", url)
        EngineStack(tmp_path, "p", "test", fence=1).up(program, lambda text: None)
        again = EngineStack(tmp_path, "p", "test", fence=2)
        again.recover()
        again.up([], lambda text: None)
    assert short_target(SETTINGS, tmp_path).placed() == {}, "the second process knew what the first had made"
    assert not list((tmp_path / ".rollcast/pulumi/state").iterdir()), "nothing is kept at the default place"


@pytest.mark.engine
def test_the_provider_ends_with_its_engine(world: EngineStack, tmp_path: Path) -> None:
    def update() -> None:
        with pytest.raises(StackError):
            world.up([ResourceNode("Drain", "drain:1", drain_inputs(50.0))], lambda text: None)

    thread = threading.Thread(target=update)
    thread.start()
    try:
        found = next(_providers(tmp_path))
        world.end()
    finally:
        thread.join(60)
    _, alive = psutil.wait_procs([found], timeout=20)
    assert not alive


def _providers(root: Path) -> Iterator[psutil.Process]:
    for _ in range(600):
        for process in psutil.process_iter(["cmdline"]):
            words = " ".join(process.info["cmdline"] or ())
            if "pulumi-resource-rollcast" in words and _root_of(process) == str(root.resolve()):
                yield process
        time.sleep(0.1)
    raise AssertionError("no provider was started")


def _root_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("ROLLCAST_ROOT")
    except psutil.Error:
        return None


def test_the_executable_says_that_it_is_not_for_people() -> None:
    program = Path(sys.executable).parent / "pulumi-resource-rollcast"
    done = subprocess.run([program], capture_output=True, text=True, check=False, env={**os.environ})
    assert done.returncode == 1
    assert "rollcast apply" in done.stderr
