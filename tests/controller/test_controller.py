"""A controller over a real bare repository and the real engine: from merge to promoted, whatever fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rollcast.stacks.ledger.ledger import open_ledger
from tests.commands import ROLLCAST, run_here
from tests.controller.repositories import TOKEN, RunningController, bare_of, commit, controller, git, push

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
  staging:
    development: true
    after: {environment: dev}
    target: {definition: .rollcast/staging/flags.json, instances: .rollcast/staging/instances}
  dev: {default: true, development: true}
"""
FILES = {"teams/alpha/rollcast.yaml": DECLARATION, "teams/alpha/m/1": "prompt 1\n", "teams/alpha/m/2": "prompt 2\n"}
ALPHA = "teams/alpha"


def of_version(version: int) -> dict[str, str]:
    return {"teams/alpha/rollcast.yaml": DECLARATION.replace("artifact: p@1", f"artifact: p@{version}")}


def read(folder: Path, *words: str) -> Any:
    done = run_here(folder, *words, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def shares(folder: Path, environment: str) -> dict[str, float]:
    status = read(folder, "--env", environment, "status")
    return {status["releases"][one["release"]]["answer"]: one["percent"] for one in status["serving"]}


def write_telemetry(folder: Path, environment: str) -> None:
    """400 users, half of them served by each release, none failing."""
    status = read(folder, "--env", environment, "status")
    releases = list(status["releases"].items())
    place = folder / (".rollcast/live" if environment == "dev" else ".rollcast/staging") / "telemetry"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "requests.jsonl").open("a", encoding="utf-8") as log:
        for number in range(400):
            release, parts = releases[number % len(releases)]
            log.write(json.dumps({
                "time": time.time(), "request": f"r{number}-{time.time_ns()}", "key": f"user-{number}",
                "channel": "default", "release": release, "attributes": {}, "latency_s": 0.01, "components": parts,
                "error": False,
            }) + "\n")  # fmt: skip


def fetch(url: str, **post: Any) -> tuple[int, str]:
    request = urllib.request.Request(url, **post)
    try:
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def sync(running: RunningController) -> None:
    status, _ = fetch(f"{running.address}/sync", data=b"{}", headers={"Authorization": f"Bearer {TOKEN}"})
    assert status == 202


def brake(running: RunningController, **order: Any) -> dict[str, bool]:
    """Whether it was changed, by environment."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    status, said = fetch(f"{running.address}/brake", data=json.dumps(order).encode(), headers=headers)
    assert status == 200, said
    return {one["environment"]: one["changed"] for one in json.loads(said)["environments"]}


def test_a_release_goes_from_merge_to_promoted_through_every_fault(tmp_path: Path) -> None:
    work, state = tmp_path / "work", tmp_path / "state"
    commit(work, {**FILES, "broken/rollcast.yaml": "schema: rollcast/v1\npipeline: [\n"})
    assert subprocess.run([ROLLCAST, "-C", str(work / ALPHA), "lock"], check=False).returncode == 0
    commit(work, {})
    bare = bare_of(work)
    words = (str(bare), "--state", str(state), "--interval", "1s")
    with controller(*words) as first:
        # the first release, environment after environment; what is broken beside it stops nothing
        assert "rollcast.yaml" in first.until(lambda event: event["event"] == "refused")["error"]
        for environment in ("dev", "staging"):
            first.looked(ALPHA, environment, "declared")
        folder = next((state / "projects").glob("teams-alpha-*"))
        assert shares(folder, "staging") == {"p@1": 100.0}
        reached = [e["environment"] for e in first.events if e["event"] == "finished"]
        assert reached == ["dev", "staging"], "in the order of 'after', whatever the order in the file"
        assert fetch(f"{first.address}/readyz")[0] == 200

        with controller(*words) as second:
            # only one acts, and the other says who does
            holder = second.until(lambda event: event["event"] == "waiting")["holder"]
            assert f"process {first.process.pid} " in holder
            status, why = fetch(f"{second.address}/readyz")
            assert (status, str(first.process.pid) in why) == (503, True)
            assert fetch(f"{second.address}/healthz")[0] == 200

            # an incident stops everything, and what is merged meanwhile waits for its end
            assert brake(first, pulled=True, reason="incident 7") == {"dev": True, "staging": True}
            merged, seen = push(work, of_version(2)), len(first.events)
            sync(first)
            waiting = first.until(
                lambda event: event["event"] == "looked" and event["environment"] == "dev" and event["exit"] == 5, seen
            )
            assert "the brake is on since" in waiting["reason"]
            assert "incident 7, says a webhook" in waiting["reason"]

            # released, it begins by itself
            seen, began_s = len(first.events), time.time()
            assert brake(first, pulled=False, reason="over") == {"dev": True, "staging": True}
            started = first.until(lambda event: event["event"] == "started", seen)
            sys.stderr.write(f"release to the first action: {started['time_s'] - began_s:.2f} s\n")
            assert (started["environment"], started["commit"]) == ("dev", merged)
            first.until(lambda event: event["event"] == "reached" and event["milestone"] == 1, seen)

            # killed in the middle: the other one goes on, and does nothing twice
            os.kill(first.process.pid, signal.SIGKILL)
            second.until(lambda event: event["event"] == "following")
            under_way = second.looked(ALPHA, "dev", "under_way")
            assert (under_way["commit"], under_way["exit"]) == (merged, 5)
            metrics = fetch(f"{second.address}/metrics")[1]
            labels = f'project="{ALPHA}",pipeline="alpha",environment="dev"'
            for line in (
                f'rollcast_rollout_state{{{labels},state="under_way"}} 1', f"rollcast_milestone{{{labels}}} 1",
                f'rollcast_gate_e_value{{{labels},metric="error_rate"}} ', f'commit="{merged}"}} 1',
                'rollcast_declaration_refused{project="broken"} 1', "rollcast_controller_leader 1",
            ):  # fmt: skip
                assert line in metrics
            lag = metrics.partition(f"rollcast_sync_lag_seconds{{{labels}}} ")[2].split("\n")[0]
            assert float(lag) > 0

            # a commit that can't be used changes nothing: the rollout under way goes on as it was declared
            seen = len(second.events)
            bad = push(work, {"teams/alpha/rollcast.yaml": DECLARATION.replace("p@1}", "p@7}")})
            refused = second.until(lambda event: event["event"] == "refused" and event["project"] == ALPHA, seen)
            assert (refused["commit"], "p@7" in refused["error"]) == (bad, True)
            assert shares(folder, "dev") == {"p@2": 50.0, "p@1": 50.0}

            # git is out of reach, and evidence comes meanwhile: what is known goes on
            seen = len(second.events)
            bare.rename(tmp_path / "away")
            gone = second.until(lambda event: event["event"] == "unreachable", seen)
            assert gone["commit"] == bad
            for milestone in (2, 3):
                write_telemetry(folder, "dev")
                at = {"event": "reached", "environment": "dev", "milestone": milestone}
                second.until(lambda event, at=at: at.items() <= event.items(), seen)
            ended = second.until(lambda event: event["event"] == "finished", seen)
            assert (ended["environment"], ended["outcome"]) == ("dev", "promoted")
            assert shares(folder, "dev") == {"p@2": 100.0}
            second.until(lambda event: event["event"] == "started" and event["environment"] == "staging", seen)
            (tmp_path / "away").rename(bare)

            # a forced push is followed, and what it left is named; a revert leads staging back
            seen = len(second.events)
            second.looked(ALPHA, "staging", "under_way")
            git(work, "reset", "--quiet", "--hard", f"{merged}~1")
            forced = push(work, {"teams/beta/readme": "nothing\n"}, "--force")
            found = second.until(lambda event: event["event"] == "commit", seen)
            assert (found["commit"], found["before"]) == (forced, bad)
            back = second.until(lambda event: event["event"] == "finished", seen)
            assert (back["environment"], back["outcome"]) == ("staging", "rolled_back")

            # it ends at a safe state when it is asked to
            second.process.send_signal(signal.SIGTERM)
            assert second.process.wait(60) == 0
    ledger = open_ledger(folder, "alpha/dev")
    done = Counter(
        (record.rollout, record.kind, record.body.get("milestone"), record.body.get("rollback"))
        for record in ledger.records() if record.kind in ("started", "reached", "finished")
    )  # fmt: skip
    assert [key for key, count in done.items() if count > 1] == []
    first_two = [record for record in ledger.records() if record.kind == "finished"][:2]
    assert [record.body["outcome"] for record in first_two] == ["promoted", "promoted"]
    assert not list((state / "candidates").iterdir())


def test_a_folder_is_followed_where_it_is_and_a_guardrail_holds_there_too(tmp_path: Path) -> None:
    never = (
        "from rollcast.policies import policy\n\n\n@policy(level='mandatory')\ndef never(review):\n    return ['no']\n"
    )
    files = {name.removeprefix("teams/alpha/"): text for name, text in FILES.items()}
    folder = tmp_path / "work"
    commit(folder, {**files, "policies/rules.py": never})
    assert subprocess.run([ROLLCAST, "-C", str(folder), "lock"], check=False).returncode == 0
    with controller("--folder", str(folder), "--interval", "1s", "--env", "dev") as running:
        assert "no" in running.looked(".", "dev", "blocked")["reason"]
        seen = len(running.events)
        (folder / "rollcast.yaml").write_text(DECLARATION.replace("p@1}", "p@7}"), "utf-8")
        refused = running.until(lambda event: event["event"] in ("refused", "looked"), seen)
        assert "p@7" in refused.get("error", refused.get("reason"))
        assert {event.get("environment", "dev") for event in running.events} == {"dev"}
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 0
