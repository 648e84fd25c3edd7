"""A component that runs as processes: a whole release, a harmful one, and what is killed on the way.

A gateway with the kit resolves each request's release and calls the process at the address that the release names.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from rollcast.stacks.base import processes
from tests.commands import run_here
from tests.instances.programs import end_all, ports

pytestmark = [pytest.mark.engine, pytest.mark.slow]

GATEWAY = """
import sys
import httpx, uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from rollcast_dataplane import DataPlane
from rollcast_dataplane.asgi import AsgiMiddleware

plane = DataPlane("answers", definition=".rollcast/live/flags.json", telemetry=".rollcast/live/telemetry")
client = httpx.AsyncClient(trust_env=False)

async def answer(request):
    release = plane.resolve(user=(await request.json())["key"])
    said = (await client.get(release.address("bot"))).json()
    plane.outcome(violation=said["harmful"])
    return JSONResponse({"release": release.id, "named": release.artifacts["bot"], **said})

app = Starlette(routes=[Route("/query", answer, methods=["POST"])])
uvicorn.run(AsgiMiddleware(app, plane), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""
BOT = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

about = json.loads((Path(sys.argv[1]) / "bot.json").read_text())
if about["broken"]:
    sys.exit("weights of another shape")

class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"bot": about["name"], "harmful": about["harmful"], "pid": os.getpid()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Answer).serve_forever()
"""
DECLARATION = """
schema: rollcast/v1
pipeline: answers
artifacts:
{artifacts}
components: {{bot: {{artifact: bot@{version}}}}}
environments:
  local:
    flags: {{kind: flagd, endpoint: "http://127.0.0.1:{port}"}}
    instances:
      components:
        bot:
          kind: process
          command: [python, bot.py, "{{artifact}}", "{{port}}"]
          ports: {ports}
          ready: {{http: /, every: 50ms}}
          stop: 2s
          restart: 50ms
rollout:
  strategy: canary
  percent: [50, 100]
  bake: {{min: 200ms, max: 60s, then: rollback}}
  min_sample: 5
  look_every: 200ms
  timeout: 200ms
  gates: [{{metric: violation_rate, margin: 0.3, min_samples: 10}}]
overrides:
  - {{policy: max-exposure, reason: a test has few users and little time, expires: "2999-01-01"}}
"""


class Answers:
    """The project: its gateway, its bots, and requests of ever new users."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.span = folder, ports(8)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        for name, text in (("gateway.py", GATEWAY), ("bot.py", BOT)):
            (folder / name).write_text(text, "utf-8")
        for version in range(1, 5):
            (folder / f"bots/{version}").mkdir(parents=True)
            about = {"name": f"bot@{version}", "harmful": version == 3, "broken": version == 4}
            (folder / f"bots/{version}/bot.json").write_text(json.dumps(about), "utf-8")

    def declare(self, version: int) -> None:
        artifacts = "\n".join(
            f'  - {{kind: model-weights, name: bot, version: "{each}", source: "file:bots/{each}"}}'
            for each in range(1, 5)
        )
        text = DECLARATION.format(artifacts=artifacts, version=version, port=self.port, ports=self.span)
        (self.folder / "rollcast.yaml").write_text(text, "utf-8")

    def rollcast(self, *words: str, code: int = 0) -> str:
        done = run_here(self.folder, *words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def apply(self, version: int, *words: str, code: int = 0) -> str:
        self.declare(version)
        return self.rollcast("apply", "--auto-approve", "--no-forecast", *words, code=code)

    def ask(self, key: str = "someone") -> dict[str, Any]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/query", json.dumps({"key": key}).encode())
        with urllib.request.urlopen(request, timeout=5) as reply:
            found: dict[str, Any] = json.load(reply)
            return found

    @contextmanager
    def gateway(self) -> Iterator[None]:
        words = [sys.executable, "gateway.py", str(self.port)]
        with (self.folder / "gateway.log").open("ab") as log:
            process = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log)
        try:
            for _ in range(300):
                with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                    break
                time.sleep(0.1)
            yield
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def requests(self) -> Iterator[Counter[str]]:
        """What came of them: `ok`, `mixed` where another bot answered than the release names, or the error."""
        found, over = Counter[str](), threading.Event()

        def send() -> None:
            number = 0
            while not over.wait(0.03):
                number += 1
                try:
                    said = self.ask(f"user-{number}-{time.time_ns()}")
                    found["ok" if said["bot"] == said["named"] else "mixed"] += 1
                except OSError as error:
                    found[str(error)] += 1

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield found
        over.set()
        thread.join(10)

    def bots(self) -> dict[str, dict[str, Any]]:
        """What each instance's supervisor says, by version."""
        found = {}
        for file in (self.folder / ".rollcast/live/processes").glob("answers/bot/*/state.json"):
            found[file.parent.name.partition("-")[0]] = json.loads(file.read_text("utf-8"))
        return found


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Answers]:
    made = Answers(tmp_path)
    try:
        with made.gateway():
            yield made
    finally:
        end_all(tmp_path)


def test_releases_of_a_process_are_rolled_out_caught_and_kept_up(answers: Answers) -> None:
    answers.apply(1)
    first = answers.ask()
    assert first["bot"] == "bot@1"
    with answers.requests() as requests:
        answers.apply(2)
        second = answers.ask()
        assert (second["bot"], list(answers.bots())) == ("bot@2", ["bot@2"])
        assert processes.began(first["pid"]) is None, "who was drained is ended"
        assert "violation_rate" in answers.apply(3, code=4)
        assert (answers.ask()["pid"], list(answers.bots())) == (second["pid"], ["bot@2"]), "it was never touched"
        said = answers.apply(4, code=1)
        assert "weights of another shape" in said, said
        assert (answers.ask()["pid"], list(answers.bots())) == (second["pid"], ["bot@2"])
        os.kill(answers.bots()["bot@2"]["supervisor"]["pid"], signal.SIGKILL)
        answers.apply(2, "--supersede")
        assert answers.ask()["pid"] == second["pid"], "a process went on while its supervisor was replaced"
    assert set(requests) == {"ok"}, requests
    assert requests["ok"] > 100
