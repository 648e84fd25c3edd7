"""A rollout that waits to be confirmed, through the commands and the engine: plan, apply, status, approve, history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollcast.stacks.ledger.rollouts import ledger_of
from rollcast.stacks.project import Project
from tests.commands import run_here
from tests.notifying.receiving import Webhook, webhook

pytestmark = [pytest.mark.engine, pytest.mark.slow]

DECLARATION = """
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: prompt-template, name: p, version: "1", source: "file:m/1"}
  - {kind: prompt-template, name: p, version: "2", source: "file:m/2"}
components:
  answer: {artifact: p@1}
rollout:
  percent: [50, 100]
  bake: {min: 0s, max: 1h}
  timeout: 0s
environments:
  prod:
    development: true
    notify: [{url: URL, events: [held]}]
    confirm:
      - {percent: 50, by: [ana, bo]}
      - {percent: 100, by: [ana], on_denied: rollback}
"""
APPLY = ("apply", "--once", "--auto-approve", "--no-forecast")


@pytest.fixture(scope="module")
def hook() -> Iterator[Webhook]:
    with webhook() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, hook: Webhook) -> Path:
    """A project at version 1."""
    found = tmp_path_factory.mktemp("confirmed")
    (found / "m").mkdir()
    for version in ("1", "2"):
        (found / "m" / version).write_text(f"prompt {version}\n", "utf-8")
    declare(found, hook, "1")
    text = (found / "rollcast.yaml").read_text("utf-8")
    (found / "rollcast.yaml").write_text(text[: text.index("    confirm:")], "utf-8")
    code, said = run(found, *APPLY)
    assert code == 0, said
    return found


def declare(folder: Path, hook: Webhook, version: str) -> None:
    text = DECLARATION.replace("URL", f"'{hook.url}'").replace("{artifact: p@1", f"{{artifact: p@{version}")
    (folder / "rollcast.yaml").write_text(text, "utf-8")


def run(folder: Path, *words: str, who: str = "eve") -> tuple[int, str]:
    done = run_here(folder, *words, environment={"LOGNAME": who, "ROLLCAST_LEDGER_URL": None})
    return done.returncode, done.stdout + done.stderr


def test_it_waits_for_people_who_are_named_says_so_everywhere_and_a_denial_leads_back(
    folder: Path, hook: Webhook
) -> None:
    declare(folder, hook, "2")
    code, said = run(folder, "plan")
    assert "before 50 % of everyone it waits for the confirmation of ana or bo" in said
    assert "before 100 % of everyone it waits for the confirmation of ana" in said
    assert run(folder, "approve", "--deny", "--auto-approve", who="ana") == (
        1, "Error: No milestone waits for a confirmation here, so nothing is answered. See 'rollcast status'.\n"
    )  # fmt: skip

    code, said = run(folder, *APPLY)
    assert code == 5, said
    assert "awaits the confirmation of ana or bo ('rollcast approve' confirms it)" in said
    status = json.loads(run(folder, "status", "--format", "json")[1])
    assert status["rollout"]["held"] == status["rollout"]["confirm"]["reason"]
    assert "awaits the confirmation of ana or bo" in run(folder, "status")[1]
    assert "awaits the confirmation of ana or bo" in hook.taken[-1].json["data"]["customData"]["reason"]

    code, said = run(folder, "approve", "--milestone", "2", "--auto-approve", who="ana")
    assert (code, "waits before milestone 1, not before 2" in said) == (1, True), said
    code, said = run(folder, "approve", "--auto-approve")
    assert (code, "'eve' may not confirm milestone 1" in said) == (1, True), said
    code, said = run(folder, "approve", "--milestone", "1", "--auto-approve", "--format", "json", who="bo")
    assert (code, json.loads(said)["changed"]) == (0, True), said
    code, said = run(folder, "approve", "--auto-approve", "--format", "json", who="bo")
    assert (code, json.loads(said)["changed"]) == (0, False), said
    code, said = run(folder, *APPLY)
    assert (code, "reached  milestone 1: 50 % of everyone" in said) == (5, True), said

    code, said = run(folder, "approve", "--deny", "--reason", "the index is old", "--auto-approve", who="ana")
    assert (code, "the rollout is rolled back" in said) == (0, True), said
    code, said = run(folder, *APPLY)
    assert (code, "is denied by ana: the index is old" in said) == (4, True), said
    said = run(folder, "history")[1]
    assert "milestone 1 confirmed by bo" in said
    assert "milestone 2 denied by ana: the index is old" in said
    kept = [r.body for r in ledger_of(Project.open(folder)).records() if r.kind == "confirmation"][-1]
    started = json.loads(run(folder, "history", "--format", "json")[1])["rollouts"][0]
    assert kept["plan_digest"] == started["plan_digest"]
