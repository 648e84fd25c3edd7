"""A component that runs in a cluster: a whole release, and a harmful one with its rollback.

Flags go from their ConfigMap through a relay to a gateway with the kit. What answers is the gateway itself: the pods
of the cluster are played, and run no containers.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ROLLCAST, run_here
from tests.kubernetes.control_plane import NODE, ControlPlane, manifests
from tests.stacks.site import free_port

pytestmark = [pytest.mark.engine, pytest.mark.slow]

GATEWAY = """
import sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from rollcast_dataplane import DataPlane
from rollcast_dataplane.asgi import AsgiMiddleware

plane = DataPlane("answers", relays=[sys.argv[2]], telemetry=".rollcast/live/telemetry")

async def answer(request):
    release = plane.resolve(user=(await request.json())["key"])
    plane.outcome(violation=release.artifacts["bot"] == "bot@3")
    return JSONResponse({"bot": release.artifacts["bot"], "address": release.address("bot")})

app = Starlette(routes=[Route("/query", answer, methods=["POST"])])
uvicorn.run(AsgiMiddleware(app, plane), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
"""
DECLARATION = """
schema: rollcast/v1
pipeline: answers
artifacts:
{artifacts}
components: {{bot: {{artifact: bot@{version}, replicas: 2}}}}
environments:
  cluster:
    flags: {{kind: kubernetes, {where}, relay: "http://127.0.0.1:{relay}"}}
    instances:
      default: {{kind: kubernetes, {where}, templates: k8s, ready: 20s, stop: 30s}}
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
TEMPLATE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ name }}", labels: {release: "{{ release }}"}}
spec:
  replicas: {{ replicas }}
  selector: {matchLabels: {app: "{{ name }}"}}
  template:
    metadata: {labels: {app: "{{ name }}", version: "{{ reference | replace('@', '-') }}"}}
    spec:
      nodeName: NODE
      containers:
      - {name: bot, image: "registry.example/bot:{{ digest[7:19] }}", volumeMounts: [{name: bot, mountPath: /bot}]}
      volumes: [{name: bot, configMap: {name: "{{ content }}", items: {{ content_items | tojson }}}}]
---
apiVersion: v1
kind: Service
metadata: {name: "{{ name }}"}
spec: {ports: [{port: 8080}], selector: {app: "{{ name }}"}}
""".replace("NODE", NODE)


class Answers:
    """The project: its relay, its gateway, and requests of ever new users."""

    def __init__(self, folder: Path, cluster: ControlPlane) -> None:
        self.folder, self.cluster, self.namespace = folder, cluster, cluster.namespace(folder)
        self.port, self.relay = free_port(), free_port()
        (folder / "gateway.py").write_text(GATEWAY, "utf-8")
        manifests(TEMPLATE, folder / "k8s")
        for version in range(1, 4):
            (folder / f"bots/{version}/rules").mkdir(parents=True)
            (folder / f"bots/{version}/rules/bot.json").write_text(json.dumps({"version": version}), "utf-8")

    def declare(self, version: int) -> None:
        artifacts = "\n".join(
            f'  - {{kind: model-weights, name: bot, version: "{each}", source: "file:bots/{each}"}}'
            for each in range(1, 4)
        )
        where = f'kubeconfig: "{self.cluster.kubeconfig}", context: restricted, namespace: {self.namespace}'
        text = DECLARATION.format(artifacts=artifacts, version=version, where=where, relay=self.relay)
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
    def running(self) -> Iterator[None]:
        """The relay and the gateway, until the block ends."""
        programs = {
            self.relay: [ROLLCAST, "relay", "--port", str(self.relay), "--grpc-port", str(free_port())],
            self.port: [sys.executable, "gateway.py", str(self.port), f"http://127.0.0.1:{self.relay}"],
        }
        with ExitStack() as stack:
            log = stack.enter_context((self.folder / "programs.log").open("ab"))
            for port, words in programs.items():
                process = subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log)
                stack.callback(process.wait)
                stack.callback(process.kill)
                until = time.monotonic() + 60
                while time.monotonic() < until and process.poll() is None:
                    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                        break
                    time.sleep(0.1)
            yield

    @contextmanager
    def requests(self) -> Iterator[Counter[str]]:
        """What came of them: `ok`, or the error."""
        found, over = Counter[str](), threading.Event()

        def send() -> None:
            number = 0
            while not over.wait(0.03):
                number += 1
                try:
                    self.ask(f"user-{number}-{time.time_ns()}")
                    found["ok"] += 1
                except OSError as error:
                    found[str(error)] += 1

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        yield found
        over.set()
        thread.join(10)

    def deployments(self) -> list[dict[str, Any]]:
        found = self.cluster.kubectl("get", "deployments", "-n", self.namespace, "-o", "json")
        items: list[dict[str, Any]] = json.loads(found)["items"]
        return items


@pytest.fixture
def answers(tmp_path: Path, cluster: ControlPlane) -> Iterator[Answers]:
    made = Answers(tmp_path, cluster)
    made.declare(1)
    role = (Path(__file__).parents[2] / "docs/how-to/run-on-kubernetes.md").read_text("utf-8")
    text = role.partition("```yaml\napiVersion: rbac")[2].partition("```")[0]
    cluster.kubectl("apply", "-n", made.namespace, "-f", "-", text=f"apiVersion: rbac{text}")  # as its page has it
    cluster.kubectl("create", "rolebinding", "r", "--role=rollcast", "--user=restricted", "-n", made.namespace)
    with made.running():
        yield made


def test_releases_in_a_cluster_are_rolled_out_and_caught(answers: Answers) -> None:
    answers.apply(1)
    (first,) = answers.deployments()
    name = first["metadata"]["name"]
    assert answers.ask() == {"bot": "bot@1", "address": f"http://{name}.{answers.namespace}.svc:8080"}
    assert first["status"]["availableReplicas"] == 2
    with answers.requests() as requests:
        answers.apply(2)
        (second,) = answers.deployments()
        assert answers.ask()["bot"] == "bot@2"
        assert second["metadata"]["name"] != name, "who was drained is gone"
        assert "violation_rate" in answers.apply(3, code=4)
        assert [each["metadata"]["uid"] for each in answers.deployments()] == [second["metadata"]["uid"]]
    assert set(requests) == {"ok"}, requests
    assert answers.ask()["bot"] == "bot@2"
