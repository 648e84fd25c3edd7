"""The Express example, from its first release to a second one by the real engine: whole streams, faithful chats."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.dataplane.crowds import Crowd
from tests.dataplane.running import until
from tests.dataplane_ts.building import EXAMPLE, KIT, stop
from tests.stacks.site import free_port

pytestmark = [pytest.mark.engine, pytest.mark.slow]
ROLLCAST = [sys.executable, "-c", "from rollcast.cli.main import script; script()"]


@contextmanager
def node(program: Path, folder: Path, port: int, **environment: str) -> Iterator[None]:
    with (folder / f"{program.stem}.log").open("ab") as log:
        variables = {**os.environ, "PORT": str(port), **environment}
        process = subprocess.Popen(["node", str(program)], cwd=folder, env=variables, stdout=log, stderr=log)
    try:
        yield
    finally:
        stop(process)


def compiled(kit: Path) -> Path:
    """The example compiled against the kit that these tests built, with the kit's packages above it."""
    folder = kit / "support-express"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules", "dist", ".rollcast"))
    (folder / "node_modules" / "@rollcast").mkdir(parents=True)
    (folder / "node_modules" / "@rollcast" / "dataplane").symlink_to(kit)
    words = ["node", str(kit / "node_modules" / "typescript" / "bin" / "tsc")]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return folder / "dist"


class Chats(Crowd):
    """Users, anonymous ones, and chats of several turns; what each was answered by."""

    def __init__(self, url: str) -> None:
        super().__init__(12)
        self.url = url
        self.answers: list[tuple[str, int, str]] = []

    def person(self, number: int) -> None:
        turn = 0
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as client:
            while not self.over.is_set():
                turn += 1
                chat = f"{number}/{turn // 6}"  # six turns each
                body: dict[str, Any] = {"message": "what of my login and the dashboard?", "session": chat, "user": chat}
                if number % 3 == 0:
                    chat, body = "", {"message": "export?"}
                reply = client.post("/chat", json=body)
                self.answers.append((chat, reply.status_code, reply.headers.get("x-rollcast-release", "")))
                time.sleep(0.01)


def test_the_example_goes_to_its_next_release_with_whole_streams_and_faithful_chats(kit: Path, tmp_path: Path) -> None:
    programs, llm, port = compiled(kit), free_port(), free_port()
    project = tmp_path / "project"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("node_modules", "dist", ".rollcast"))
    for name in ("released.yaml", "rollcast.yaml"):
        text = (project / name).read_text("utf-8")
        text = text.replace("127.0.0.1:9001", f"127.0.0.1:{port}").replace(": 30s", ": 10s")
        (project / name).write_text(text, "utf-8")
    url = f"http://127.0.0.1:{port}"

    def rollcast(*words: str) -> None:
        done = subprocess.run(
            [*ROLLCAST, *words], cwd=project, capture_output=True, text=True, check=False, timeout=280
        )
        assert done.returncode == 0, done.stdout + done.stderr

    with ExitStack() as stack:
        stack.enter_context(node(programs / "stub-llm.js", project, llm, LAT="0.02"))
        stack.enter_context(node(programs / "service.js", project, port, LLM=f"http://127.0.0.1:{llm}"))
        client = stack.enter_context(httpx.Client(base_url=url, trust_env=False, timeout=120))
        until(lambda: client.get("/healthz").status_code == 200, 30)
        assert client.post("/chat", json={"message": "hello"}).status_code == 503  # nothing is released yet
        rollcast("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
        until(lambda: client.post("/chat", json={"message": "hello"}).status_code == 200)
        first = client.post("/chat", json={"message": "hello"})
        assert first.json()["prompt"] == "answer@1"
        old = first.headers["x-rollcast-release"]
        chats = stack.enter_context(Chats(url))
        streamed: list[tuple[str, str]] = []

        def long() -> None:
            body = {"message": "tell me slowly", "user": "slow", "stream": True, "slow_s": 40}
            with httpx.stream("POST", f"{url}/chat", json=body, timeout=120, trust_env=False) as reply:
                text = "".join(reply.iter_text())
                streamed.append((reply.headers["x-rollcast-release"], text))

        streaming = threading.Thread(target=long)
        streaming.start()
        until(lambda: client.get("/rollcast/inflight").json()["releases"].get(old, 0) > 0)
        rollcast("apply", "--auto-approve", "--no-forecast")  # it ends once nothing is on the old release
        assert not streaming.is_alive() or client.get("/rollcast/inflight").json()["releases"].get(old) is None
        streaming.join()
        chats.over.set()
        for thread in chats.threads:
            thread.join()
        until(lambda: client.get("/rollcast/inflight").json()["releases"] == {})
        state = client.get("/rollcast/inflight").json()
    ((release, text),) = streamed
    assert release == old
    assert text.count("data: ") == 8  # whole, and by the old prompt: the new one would cite
    assert {status for _, status, _ in chats.answers} == {200}
    assert len({served for *_, served in chats.answers}) == 2
    by_chat: dict[str, set[str]] = {}
    for chat, _, served in chats.answers:
        by_chat.setdefault(chat, set()).add(served)
    assert [chat for chat, served in by_chat.items() if chat and len(served) > 1] == []
    assert state["entered"] == state["finished"]
    lines = (project / ".rollcast/live/telemetry/requests.jsonl").read_text("utf-8").splitlines()
    assert sum(json.loads(line)["release"] is not None for line in lines) == sum(state["finished"].values())


def test_the_example_pins_the_same_packages_as_the_kit() -> None:
    example, kit = (json.loads((folder / "package.json").read_text("utf-8")) for folder in (EXAMPLE, KIT))
    wanted = {**example["dependencies"], **example["devDependencies"]}
    assert wanted.pop("@rollcast/dataplane").startswith("file:")
    assert wanted == {name: kit["devDependencies"][name] for name in wanted}
