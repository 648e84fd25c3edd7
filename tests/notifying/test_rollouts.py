"""Through commands and the real engine: what receivers get of rollouts, and what is shown where they get nothing."""

from __future__ import annotations

import getpass
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_here
from tests.notifying.receiving import Webhook, webhook
from tests.stacks.site import injected

pytestmark = [pytest.mark.engine, pytest.mark.slow]

KEY = "a key of a test that nobody shall see"
DECLARATION = """
schema: rollcast/v1
pipeline: alpha
artifacts:
  - {{kind: prompt-template, name: p, version: "1", source: "file:m/1"}}
  - {{kind: prompt-template, name: p, version: "2", source: "file:m/2"}}
components:
  answer: {{artifact: p@{version}}}
rollout: {{strategy: all-at-once, timeout: 0s, look_every: 1s, bake: {{min: 0s, max: 1s, then: advance}}}}
overrides:
  - {{policy: max-exposure, reason: a test has few users and little time, expires: "2999-01-01"}}
environments:
  dev:
    default: true
    development: true
    notify:
      - {{url: "${{NEWS_URL}}", secret: "${{NEWS_KEY}}"}}
      - {{url: "{other}", events: [deployed, rolledback], format: slack}}
  production:
    after: {{environment: dev, approved_by: [{person}]}}
    notify:
      - {{url: "${{NEWS_URL}}", events: [waiting]}}
"""


class Project:
    """A project without a service, and its two receivers."""

    def __init__(self, folder: Path, news: Webhook, other: Webhook) -> None:
        self.folder, self.news, self.other = folder, news, other
        for version in ("1", "2"):
            (folder / "m").mkdir(exist_ok=True)
            (folder / "m" / version).write_text(f"prompt {version}\n", "utf-8")
        self.declare(1)
        assert self.run("lock")[0] == 0

    def declare(self, version: int) -> None:
        text = DECLARATION.format(version=version, other=self.other.url, person=getpass.getuser())
        (self.folder / "rollcast.yaml").write_text(text, "utf-8")

    def run(self, *words: str, **environment: str) -> tuple[int, str]:
        own = {"NEWS_URL": self.news.url, "NEWS_KEY": KEY, **environment}
        done = run_here(self.folder, *words, environment=own)
        return done.returncode, done.stdout + done.stderr

    def apply(self, **environment: str) -> tuple[int, str]:
        return self.run("apply", "--auto-approve", "--no-forecast", **environment)

    def receivers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("status", "--format", "json")[1])["notify"]
        return found


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with webhook() as news, webhook() as other:
        yield Project(tmp_path, news, other)


def test_receivers_hear_of_rollouts_whatever_becomes_of_other_receivers(project: Project) -> None:
    news, other = project.news, project.other
    other.answer = lambda delivery: 410
    code, said = project.apply()
    assert code == 0, said
    assert news.types == ["rollcast-rollout.began", "service.deployed"]
    assert [one["dead"] != [] for one in project.receivers()] == [False, True]
    code, said = project.run("status")
    assert "1 dead letter; 'rollcast notify --again' delivers" in said
    assert "it answered 410" in said
    assert project.run("notify")[0] == 1
    other.answer = lambda delivery: 200
    code, said = project.run("notify", "--again")
    assert code == 0, said
    assert "*alpha* in *dev*: everybody is on rel-" in other.taken[0].json["text"]

    news.answer = lambda delivery: "hang"
    project.declare(2)
    began = time.monotonic()
    code, said = project.apply()
    assert code == 0, said
    assert time.monotonic() - began < 60
    assert len(other.taken) == 2, "one that hangs holds up no other one"
    (waiting, _) = project.receivers()
    assert waiting["waiting"] == 2
    assert re.search(r"has not got [12] notifications? yet", said), said
    news.answer = lambda delivery: 200
    assert project.run("notify")[0] == 0
    assert news.types == ["rollcast-rollout.began", "service.deployed", "rollcast-rollout.began", "service.upgraded"]
    kept = b"".join(path.read_bytes() for path in (project.folder / ".rollcast").rglob("*") if path.is_file())
    assert KEY.encode() not in kept
    assert news.url.encode() not in kept, "what a variable holds is kept nowhere"


def test_what_a_killed_driver_recorded_is_delivered_by_whoever_comes_next(project: Project) -> None:
    faults = project.folder / "faults"
    faults.mkdir()
    (faults / "faults.json").write_text(json.dumps({"notify: after a try": "kill"}))
    (faults / "passed").write_text("")
    code, _ = project.apply(**injected(faults))
    assert code < 0, "it was killed"
    first = project.news.taken[0].json["id"]
    code, said = project.run("apply", "--resume")
    assert code == 0, said
    ids = [delivery.json["id"] for delivery in project.news.taken]
    assert ids[:2] == [first, first], "at least once, with the same id"
    assert list(dict.fromkeys(project.news.types)) == ["rollcast-rollout.began", "service.deployed"]


def test_that_a_plan_awaits_approval_is_heard_once(project: Project) -> None:
    for _ in range(2):
        code, said = project.run("--env", "production", "apply", "--once", "--auto-approve", "--no-forecast")
        assert code == 5, said
    assert project.news.types == ["rollcast-rollout.waiting"]
    custom = project.news.taken[0].json["data"]["customData"]
    assert custom["reason"] == f"this plan awaits the approval of {getpass.getuser()}"
