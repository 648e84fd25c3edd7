"""A vendor that serves another model under the same name: seen in telemetry, said, and nobody more is served by it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from rollcast.cli.main import main

DECLARED = """\
schema: rollcast/v1
pipeline: chat
artifacts:
  - {kind: model-weights, name: bot, version: "1", source: "vendor:example/bot-2026-05-01"}
  - {kind: model-weights, name: bot, version: "2", source: "vendor:example/bot-2026-06-01"}
components:
  generator: {artifact: bot@VERSION}
environments:
  prod: {telemetry: {kind: jsonl, path: requests.jsonl}}
rollout:
  percent: [50, 100]
  bake: {min: 0s, max: 1h}
  min_sample: 5
  look_every: 100ms
  timeout: 10ms
  session: 10ms
  gates: [{metric: error_rate, margin: 0.9, min_samples: 5}]
overrides:
  - {policy: max-exposure, reason: a test has little time, expires: "2999-01-01"}
"""


def declare(project: Path, version: int) -> None:
    (project / "rollcast.yaml").write_text(DECLARED.replace("VERSION", str(version)), "utf-8")
    assert main(["-C", str(project), "lock"]) == 0


def serve(project: Path, releases: dict[str, str], began: int) -> None:
    """Forty requests of each release, as a kit writes them: release -> what its answers name themselves."""
    with (project / "requests.jsonl").open("a", encoding="utf-8") as file:
        for release, model in releases.items():
            for number in range(began, began + 40):
                line = {
                    "time": time.time(), "request": f"{release}-{number}", "key": f"{release}-{number}",
                    "release": release, "error": False, "response_model": model,
                }  # fmt: skip
                file.write(json.dumps(line) + "\n")


@pytest.mark.engine
def test_a_model_that_its_vendor_changed_is_said_and_nobody_more_is_served_by_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requests.jsonl").touch()
    declare(tmp_path, 1)
    assert main(["-C", str(tmp_path), "apply", "--auto-approve"]) == 0
    declare(tmp_path, 2)
    assert main(["-C", str(tmp_path), "apply", "--auto-approve", "--once"]) == 5
    capsys.readouterr()
    assert main(["-C", str(tmp_path), "status", "--format", "json"]) == 0
    shares = json.loads(capsys.readouterr().out)["serving"]
    assert [share["percent"] for share in shares] == [50.0, 50.0]
    new, old = (share["release"] for share in shares)
    serve(tmp_path, {new: "bot-2026-06-01", old: "bot-2026-05-15"}, 0)
    time.sleep(0.2)
    assert main(["-C", str(tmp_path), "apply", "--auto-approve", "--resume", "--once", "--format", "json"]) == 5
    said = f"generator of {old} is served by bot-2026-05-15, and vendor:example/bot-2026-05-01 is declared"
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["text"] for event in events if event["event"] == "model_changed"] == [said]
    assert main(["-C", str(tmp_path), "status", "--format", "json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert f"{said}: 40 requests" in status["notes"]
    assert [guard["name"] for guard in status["rollout"]["guards"] if not guard["ok"]] == ["model"]
    assert {share["percent"] for share in status["serving"]} == {50.0}
