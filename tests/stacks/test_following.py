"""`apply --once` follows the declaration as it is now; what was rolled back is not tried again by itself."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_here
from tests.stacks.test_fleet import listening

pytestmark = [pytest.mark.engine, pytest.mark.slow]

DECLARATION = """
schema: rollcast/v1
pipeline: alpha
artifacts:
  - {kind: prompt-template, name: p, version: "1", source: "file:m/1"}
  - {kind: prompt-template, name: p, version: "2", source: "file:m/2"}
  - {kind: prompt-template, name: p, version: "3", source: "file:m/3"}
components:
  answer: {artifact: p@1}
rollout:
  strategy: canary
  percent: [50, 100]
  bake: {min: 0s, max: 1h, then: hold}
  min_sample: 20
  look_every: 1s
  timeout: 0s
  gates:
    - {metric: error_rate, margin: 0.1}
overrides:
  - {policy: max-exposure, reason: a test has few users and little time, expires: "2999-01-01"}
environments:
  dev: {default: true, development: true}
"""
NEVER = """
from rollcast.policies import policy

@policy(level="mandatory")
def never(review):
    return ["not this one"]
"""
ONCE = ("apply", "--once", "--auto-approve", "--no-forecast")


class Project:
    """A project without a service: what serves is in its flag, and tests write its telemetry."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = "{}"
        for version in ("1", "2", "3"):
            (folder / "m").mkdir(exist_ok=True)
            (folder / "m" / version).write_text(f"prompt {version}\n", "utf-8")
        self.declare(1)
        assert self.run("lock")[0] == 0
        assert self.run("apply", "--auto-approve", "--no-forecast")[0] == 0

    def declare(self, version: int) -> None:
        text = DECLARATION.replace("artifact: p@1", f"artifact: p@{version}")
        text = text.replace("development: true", f"development: true, target: {self.target}")
        (self.folder / "rollcast.yaml").write_text(text, "utf-8")

    def run(self, *words: str) -> tuple[int, str]:
        """A command: its exit code and all that it said."""
        done = run_here(self.folder, *words)
        return done.returncode, done.stdout + done.stderr

    def read(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--format", "json")[1])

    def shares(self) -> dict[str, float]:
        """Percent of everyone by artifact."""
        status = self.read("status")
        return {status["releases"][s["release"]]["answer"]: s["percent"] for s in status["serving"]}

    def began(self) -> int:
        return len(self.read("history")["rollouts"])

    def requests(self, failing: str) -> None:
        """Telemetry of 400 users, half of them served by each release; those of one artifact fail."""
        status = self.read("status")
        releases = list(status["releases"].items())
        folder = self.folder / ".rollcast/live/telemetry"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "requests.jsonl").open("a", encoding="utf-8") as log:
            for number in range(400):
                release, parts = releases[number % len(releases)]
                record = {
                    "time": time.time(), "request": f"r{number}-{time.time_ns()}", "key": f"user-{number}",
                    "channel": "default", "release": release, "attributes": {}, "latency_s": 0.01,
                    "components": parts, "error": parts["answer"] == failing,
                }  # fmt: skip
                log.write(json.dumps(record) + "\n")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_reverted_release_is_led_back_and_another_one_takes_the_place_of_the_one_under_way(project: Project) -> None:
    project.declare(2)
    assert project.run(*ONCE)[0] == 5
    assert project.shares() == {"p@2": 50.0, "p@1": 50.0}
    began = project.began()
    declared = project.folder / "rollcast.yaml"
    declared.write_text(declared.read_text("utf-8").replace('"file:m/3"', '"file:m/3", experimental: true'), "utf-8")
    code, said = project.run(*ONCE)
    assert (code, project.began()) == (5, began), "what nothing that is declared uses is no other declaration"
    assert "something else" not in said
    project.declare(1)
    project.requests(failing="none")  # the gate of version 2 would pass
    code, said = project.run(*ONCE)
    assert code == 4, said
    assert "declares something else" in said
    assert project.shares() == {"p@1": 100.0}
    assert project.run(*ONCE)[0] == 0
    project.declare(2)
    assert project.run(*ONCE)[0] == 5, "what was rolled back because another thing was declared is not rejected"
    project.declare(3)
    code, said = project.run(*ONCE)
    assert code == 5, said
    assert project.shares() == {"p@3": 50.0, "p@1": 50.0}


@pytest.mark.parametrize(("said", "judged"), [
    (None, False), ({"replica": "a"}, False), ({"replica": "a", "finished": {}}, True),
])  # fmt: skip
def test_status_says_where_completeness_of_telemetry_is_not_judged(
    project: Project, said: dict[str, Any] | None, judged: bool
) -> None:
    with ExitStack() as stack:
        if said is not None:
            address = stack.enter_context(listening(lambda path: (200, said)))
            project.target = f"{{endpoint: '{address}'}}"
        project.declare(2)
        code, text = project.run(*ONCE)
        assert code == 5, text
        notes = json.dumps(project.read("status")["notes"])
        assert ("completeness can't be judged" in notes) is not judged, notes
        assert project.run("abort")[0] == 4
        assert "can't be judged" not in json.dumps(project.read("status")["notes"])


def test_a_release_that_was_rolled_back_is_not_tried_again_until_a_person_says_so(project: Project) -> None:
    project.declare(2)
    assert project.run(*ONCE)[0] == 5
    project.requests(failing="p@2")
    time.sleep(1.0)
    assert project.run(*ONCE)[0] == 4
    began = project.began()
    for words in (ONCE, ("apply", "--auto-approve", "--no-forecast")):
        code, said = project.run(*words)
        assert code == 5, said
        assert "not tried again" in said
        assert "rollcast retry" in said
    assert (project.began(), project.shares()) == (began, {"p@1": 100.0})
    assert "not tried again" in json.dumps(project.read("status")["notes"])
    assert project.run("retry")[0] == 1
    assert project.run("retry", "--reason", "")[0] == 1
    assert project.run("retry", "--reason", "the provider was down")[0] == 0
    assert "the provider was down" in project.run("history")[1]
    assert project.run(*ONCE)[0] == 5
    assert project.shares() == {"p@2": 50.0, "p@1": 50.0}
    assert project.run("abort")[0] == 4
    code, said = project.run(*ONCE)
    assert (code, "not tried again" in said) == (5, True), "a schedule does not undo what a person did"
    assert project.shares() == {"p@1": 100.0}


def test_what_supersedes_is_judged_before_anything_is_led_back(project: Project) -> None:
    project.declare(2)
    assert project.run(*ONCE)[0] == 5
    project.declare(3)
    (project.folder / "policies").mkdir()
    rule = project.folder / "policies" / "rules.py"
    rule.write_text(NEVER, "utf-8")
    under_way = project.read("status")["rollout"]["id"]
    for words in (("apply", "--supersede", "--auto-approve", "--no-forecast"), ONCE):
        code, said = project.run(*words)
        assert code == 3, said
        assert project.shares() == {"p@2": 50.0, "p@1": 50.0}
    rule.unlink()
    code, said = project.run("apply", "--supersede", "--no-forecast")
    assert (code, "Nothing was changed" in said) == (1, True), "nobody is there to confirm"
    assert project.read("status")["rollout"]["id"] == under_way
    planned = project.read("plan")
    assert planned["supersedes"]["rollout"] == under_way
    assert planned["supersedes"]["way_back"]
    assert planned["milestones"][0]["serving"][0]["percent"] == 100.0
    assert project.run("plan", "--out", "plan.json")[0] == 0
    code, said = project.run("apply", "plan.json", "--supersede", "--once", "--auto-approve", "--no-forecast")
    assert code == 5, said
    assert "not what was foreseen" not in said
    assert project.shares() == {"p@3": 50.0, "p@1": 50.0}
