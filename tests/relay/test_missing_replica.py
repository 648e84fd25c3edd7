"""A replica that is killed in the middle of a rollout: `apply` holds, says how to go on, and goes on as it says.

Real parts: the engine, a relay, and two FastAPI services on the kit that know nothing but the relay.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_here
from tests.dataplane.running import Running, running
from tests.relay.relays import RunningRelay, relaying, until

DECLARATION = """\
schema: rollcast/v1
pipeline: help-desk
artifacts:
  - {kind: prompt-template, name: answer, version: "1", source: "file:made/1"}
  - {kind: prompt-template, name: answer, version: "2", source: "file:made/2"}
components:
  answer: {artifact: answer@VERSION}
rollout:
  strategy: canary
  percent: [50, 100]
  bake: {min: 10m, max: 20m}
  timeout: 200ms
  gates: [{metric: error_rate, margin: 0.6, min_samples: 5}]
overrides:
  - {policy: max-exposure, reason: a test has few users and little time, expires: "2999-01-01"}
environments:
  prod:
    default: true
    target: {relay: RELAY, on_missing_replica: hold}
"""


@dataclass
class Project:
    """A project whose target is a relay, and the two services behind it."""

    folder: Path
    relay: RunningRelay
    services: list[Running]

    def declare(self, version: int) -> None:
        text = DECLARATION.replace("VERSION", str(version)).replace("RELAY", self.relay.url)
        (self.folder / "rollcast.yaml").write_text(text, "utf-8")

    def rollcast(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_here(self.folder, *words)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.rollcast("status", "--format", "json").stdout)
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Version 1 serves, and the relay is older than its lease."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "made").mkdir()
    for number in ("1", "2"):
        (folder / "made" / number).write_text(f"prompt {number}\n", "utf-8")
    (folder / ".rollcast/live").mkdir(parents=True)
    with ExitStack() as stack:
        relay = stack.enter_context(relaying(folder / ".rollcast/live/flags.json"))
        services = [
            stack.enter_context(running(folder / f"replica-{number}", relays=[relay.url])) for number in range(2)
        ]
        for service in services:
            (service.folder / "ready").touch()  # every instance is warm when it is asked for
        made = Project(folder, relay, services)
        made.declare(1)
        until(lambda: relay.fleet()["time"] - relay.fleet()["since"] > relay.fleet()["lease_s"], 15)
        first = made.rollcast("apply", "--auto-approve")
        assert first.returncode == 0, first.stderr
        yield made


@pytest.mark.engine
def test_a_killed_replica_holds_the_rollout_until_it_is_forgotten(project: Project) -> None:
    project.declare(2)
    begun = project.rollcast("apply", "--auto-approve", "--once")
    assert begun.returncode == 5, begun.stderr
    assert project.status()["rollout"]["milestone"] >= 1

    dead = project.services[1].state()["replica"]
    project.services[1].process.send_signal(signal.SIGKILL)
    until(lambda: [each["replica"] for each in project.relay.fleet()["replicas"] if each["missing"]] == [dead], 20)
    fleet = project.status()["fleet"]
    (content,) = fleet["definitions"].values()
    seen = {each["replica"]: each for each in fleet["replicas"]}
    assert [name for name, each in seen.items() if each["missing"]] == [dead]
    assert {(each["current"], *each["generations"].values()) for each in seen.values()} == {(True, content)}
    assert seen[dead]["heard_s"] > seen[dead]["lease_s"] == 10
    assert {each["kit"] for each in seen.values()} == {project.services[0].state()["kit"]}
    (relay,) = fleet["relays"]
    assert (relay["address"], relay["replicas"], relay["problem"]) == (project.relay.url, 2, None)
    text = project.rollcast("status").stdout
    assert "fleet: 2 replicas, 1 missing" in text
    assert re.search(rf"replica {dead}: MISSING, last heard of \d+ s ago \(its lease is 10 s\)", text)
    assert project.rollcast("promote", "--full", "--reason", "of a test").returncode == 0
    held = project.rollcast("apply", "--resume", "--format", "json")
    assert held.returncode == 5, held.stderr
    events = [json.loads(line) for line in held.stdout.splitlines()]
    assert [event["event"] for event in events[-2:]] == ["held", "ended"]
    assert events[-1]["exit"] == 5
    for said in (events[-1]["reason"], held.stderr, project.status()["rollout"]["held"]):
        assert f"replica {dead} was not heard of" in said
        assert f"'rollcast dataplane forget {dead}'" in said
        assert "what serves now is default:" in said
        assert "'rollcast apply --resume'" in said

    unknown = project.rollcast("dataplane", "forget", "nobody")
    assert (unknown.returncode, "No relay knows nobody" in unknown.stderr) == (1, True)
    forgotten = project.rollcast("dataplane", "forget", dead)
    assert (forgotten.returncode, forgotten.stdout) == (0, f"Forgotten: {dead}.\n"), forgotten.stderr
    done = project.rollcast("apply", "--resume")
    assert done.returncode == 0, done.stderr
    assert project.services[0].post("/chat", {"user": "ann"}).json()["components"] == {"answer": "answer@2"}


@pytest.mark.engine
def test_a_replica_that_is_missing_before_a_rollout_begins_changes_nothing(project: Project) -> None:
    before = project.status()["serving"]
    project.declare(1)
    project.relay.acknowledge("of-before", lease_s=1)
    time.sleep(1.2)
    held = project.rollcast("apply", "--auto-approve")
    assert held.returncode == 5, held.stderr
    assert "replica of-before was not heard of" in held.stderr
    assert "The rollout has not begun, and nothing was changed." in held.stderr
    assert project.status()["serving"] == before
    assert project.rollcast("dataplane", "forget", "of-before").returncode == 0
