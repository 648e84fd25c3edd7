"""One person's project becomes a team's: the ledger and Pulumi's state in one real PostgreSQL, and back again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_here
from tests.stacks.servers import postgres

pytestmark = [pytest.mark.engine, pytest.mark.slow]

DECLARATION = """
schema: rollcast/v1
pipeline: alpha
artifacts:
  - {kind: prompt-template, name: p, version: "1", source: "file:m/1"}
  - {kind: prompt-template, name: p, version: "2", source: "file:m/2"}
components:
  answer: {artifact: p@1}
rollout: {strategy: all-at-once, bake: {min: 0s, max: 1h}, timeout: 0s}
environments:
  dev: {default: true, development: true, target: {definition: LIVE/flags.json, instances: LIVE/instances}}
"""
VARIABLES = ("ROLLCAST_LEDGER_URL", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE")


class Clone:
    """A checkout of the project on somebody's machine: the same target, its own `.rollcast`."""

    def __init__(self, folder: Path, live: Path) -> None:
        self.folder, self.live = folder, live
        (folder / "m").mkdir(parents=True)
        for version in ("1", "2"):
            (folder / "m" / version).write_text(f"prompt {version}\n", "utf-8")
        self.declare(1)

    def declare(self, version: int) -> None:
        text = DECLARATION.replace("LIVE", str(self.live)).replace("artifact: p@1", f"artifact: p@{version}")
        (self.folder / "rollcast.yaml").write_text(text, "utf-8")

    def run(self, *words: str, **environment: str) -> tuple[int, str, str]:
        done = run_here(self.folder, *words, environment={**dict.fromkeys(VARIABLES), **environment})
        return done.returncode, done.stdout, done.stderr

    def apply(self, **environment: str) -> None:
        code, out, said = self.run("apply", "--auto-approve", "--no-forecast", **environment)
        assert code == 0, out + said

    def outcomes(self, **environment: str) -> list[Any]:
        code, out, said = self.run("history", "--format", "json", **environment)
        assert code == 0, said
        return [rollout["outcome"] for rollout in json.loads(out)["rollouts"]]


def instances(live: Path) -> list[str]:
    return sorted(path.parent.name.split("-")[0] for path in (live / "instances").rglob("manifest.json"))


def test_what_one_person_began_a_team_goes_on_with_and_one_of_it_takes_back(tmp_path: Path) -> None:
    live = tmp_path / "live"
    ana = Clone(tmp_path / "ana", live)
    ana.apply()
    (tmp_path / "server").mkdir()
    with postgres(tmp_path / "server") as server:
        url = server.database() + "?sslmode=disable"
        code, out, said = ana.run("ledger", "move", "--to", url.replace("rollcast@", "rollcast:hunter2@"))
        assert code == 0, said
        assert "Pulumi stack alpha/dev" in out
        assert f"PULUMI_CONFIG_PASSPHRASE  what {ana.folder}/.rollcast/pulumi/passphrase holds" in out
        assert "hunter2" not in out + said
        code, _, said = ana.run("apply", "--auto-approve")
        assert (code, "This ledger was moved to postgresql+psycopg://rollcast:***@127.0.0.1" in said) == (1, True), said
        words = (ana.folder / ".rollcast/pulumi/passphrase").read_text("ascii")
        backend = url.replace("postgresql+psycopg", "postgres")
        team = {"ROLLCAST_LEDGER_URL": url, "PULUMI_BACKEND_URL": backend, "PULUMI_CONFIG_PASSPHRASE": words}
        bo = Clone(tmp_path / "bo", live)
        bo.declare(2)
        code, _, said = bo.run("apply", "--auto-approve", "--no-forecast", **{**team, "PULUMI_BACKEND_URL": ""})
        assert code == 1, said
        assert "and PULUMI_BACKEND_URL isn't set. Set it to that place" in said
        bo.apply(**team)
        assert bo.outcomes(**team) == ["promoted", "promoted"]
        assert instances(live) == ["p@2"], "the stack's memory moved: what ana made, bo's rollout took away"

        code, _, said = ana.run("ledger", "move", "--to", "file", **{**team, "PULUMI_BACKEND_URL": ""})
        assert (code, "Pulumi keeps the state of this ledger's stacks at postgres://127.0.0.1" in said) == (1, True)
        code, _, said = ana.run("ledger", "move", "--to", "file", **team)
        assert code == 0, said
        code, _, said = bo.run("plan", **team)
        assert (code, "This ledger was moved to" in said) == (1, True), said
    ana.declare(1)
    ana.apply(PULUMI_CONFIG_PASSPHRASE="another one than the stack was made with")
    assert ana.outcomes() == ["promoted"] * 3
    assert instances(live) == ["p@1"]
