"""Three environments in sequence, through the real commands and the real engine."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from rollcast.cli.main import main

pytestmark = [pytest.mark.engine, pytest.mark.slow]

DECLARATION = """
schema: rollcast/v1
pipeline: alpha
artifacts:
  - {kind: prompt-template, name: p, version: "1", source: "file:m/1"}
  - {kind: prompt-template, name: p, version: "2", source: "file:m/2"}
components:
  answer: {artifact: p@1}
rollout:
  strategy: all-at-once
  bake: {min: 0s, max: 1h}
  timeout: 0s
environments:
  dev: {default: true, development: true, target: {definition: dev/flags.json, instances: dev/instances}}
  staging:
    development: true
    after: {environment: dev, for: 0s}
    target: {definition: staging/flags.json, instances: staging/instances}
  production:
    development: true
    after: {environment: staging, for: 24h, approved_by: [ana, bo], approvals: 2}
    target: {definition: production/flags.json, instances: production/instances}
"""
APPLY = ("apply", "--auto-approve", "--no-forecast")


class Three:
    """A project with three environments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "m").mkdir()
        for version in ("1", "2"):
            (folder / "m" / version).write_text(f"prompt {version}\n", "utf-8")
        self.declare()

    def declare(self, *changes: tuple[str, str]) -> None:
        text = DECLARATION
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (self.folder / "rollcast.yaml").write_text(text, "utf-8")

    def run(self, *words: str, who: str = "eve") -> tuple[int, str]:
        """A command in this process: its exit code and all that it said."""
        code, out, said = self._run(words, who)
        return code, out + said

    def read(self, *words: str, who: str = "eve") -> Any:
        return json.loads(self._run((*words, "--format", "json"), who)[1])

    def _run(self, words: tuple[str, ...], who: str) -> tuple[int, str, str]:
        out, said = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(said):
            patched.setenv("LOGNAME", who)
            patched.delenv("ROLLCAST_LEDGER_URL", raising=False)
            code = main(["-C", str(self.folder), *words])
        return code, out.getvalue(), said.getvalue()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Three:
    return Three(tmp_path_factory.mktemp("three"))


def test_a_release_goes_from_environment_to_environment_and_is_held_until_it_may(three: Three) -> None:
    code, said = three.run("plan", "--env", "staging")
    assert (code, "Not eligible in staging: rel-" in said, "was never promoted in dev" in said) == (5, True, True)
    code, said = three.run(*APPLY, "--env", "staging")
    assert code == 5, said
    assert not (three.folder / "staging").exists(), "nothing was put there"

    assert three.run(*APPLY)[0] == 0
    assert three.run(*APPLY, "--env", "staging")[0] == 0
    code, said = three.run(*APPLY, "--env", "production")
    assert code == 5, said
    assert "of 1 d; this plan awaits the approval of 2 of ana and bo" in said
    assert "becomes eligible at" in said

    code, said = three.run("approve", "--env", "production", "--auto-approve")
    assert (code, "'eve' may not approve in 'production', which names ana and bo" in said) == (1, True), said
    found = three.read("approve", "--env", "production", "--auto-approve", "--reason", "seen", who="ana")
    assert (found["by"], found["approvals"]["awaited"]) == ("ana", ["bo"])
    code, said = three.run("approve", "--env", "production", "--auto-approve", who="ana")
    assert (code, "approved this plan before" in said) == (1, True), said
    assert three.run("approve", "--env", "production", "--auto-approve", who="bo")[0] == 0

    report = three.read("status", "--all")
    assert [one["environment"] for one in report["environments"]] == ["dev", "staging", "production"]
    dev, staging, production = report["environments"]
    assert (dev["eligibility"], dev["waits"], staging["waits"]) == (None, [], [])
    assert production["waits"] == ["default"]
    assert [one["by"] for one in production["eligibility"]["approvals"]["given"]] == ["ana", "bo"]
    assert production["eligibility"]["eligible_at_s"] == staging["served"][0]["since_s"] + 86_400
    text = three.run("status", "--all")[1]
    assert "production  after staging for 1 d, approved by 2 of ana, bo" in text
    assert "approved by ana at " in text

    code, said = three.run(*APPLY, "--env", "production", "--hotfix", "it burns")
    assert (code, "Environment 'production' allows no hotfix" in said) == (1, True), said

    three.declare(("for: 24h", "for: 1s"))
    code, said = three.run("plan", "--env", "production")
    assert code == 5, said
    assert "ana and bo approved another plan, and it has changed since" in said, "the declaration is part of a plan"
    for name in ("ana", "bo"):
        assert three.run("approve", "--env", "production", "--auto-approve", who=name)[0] == 0
    code, said = three.run(*APPLY, "--env", "production")
    assert code == 0, said
    (rollout,) = three.read("history", "--env", "production")["rollouts"]
    assert (rollout["approved_by"], rollout["hotfix"]) == (["ana", "bo"], "")


def test_a_hotfix_is_applied_before_its_time_and_recorded_as_one(three: Three) -> None:
    hot = (("artifact: p@1", "artifact: p@2"), ("approvals: 2", "approvals: 1, hotfix: allowed"))
    three.declare(*hot)
    code, said = three.run("plan", "--env", "production")
    assert (code, "was never promoted in staging" in said, "--hotfix REASON" in said) == (5, True, True), said
    code, said = three.run(*APPLY, "--env", "production", "--hotfix", "it burns")
    assert code == 5, said
    assert "awaits the approval" in said, "approval is needed all the same"
    assert three.run("approve", "--env", "production", "--auto-approve", who="bo")[0] == 0
    assert three.run(*APPLY, "--env", "production", "--hotfix", " ")[0] == 1
    code, said = three.run(*APPLY, "--env", "production", "--hotfix", "it burns")
    assert code == 0, said
    assert "a hotfix: it burns" in said
    rollout = three.read("history", "--env", "production")["rollouts"][0]
    assert (rollout["hotfix"], rollout["approved_by"]) == ("it burns", ["bo"])
    assert "hotfix: it burns" in three.run("history", "--env", "production")[1]
    assert "it burns" in three.run("report", "--env", "production", "--rollout", "last", "--format", "markdown")[1]
    assert three.run("rollback", "--env", "production", "--auto-approve")[0] == 0, "a rollback needs no approval"
