"""The whole way of a release through the real engine and the real service: apply, serve, catch harm, roll back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.conftest import System

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_a_release_is_applied_a_harmful_one_is_caught_and_one_command_leads_back(
    system: System, mixed: Callable[[list[dict[str, Any]]], int]
) -> None:
    first = system.rollcast("apply", "--file", "released.yaml", "--auto-approve", "--no-forecast")
    assert first.returncode == 0, first.stderr
    before = system.ask("someone")
    assert before["components"]["index"] == "stdlib@1"

    with system.load():
        second = system.rollcast("apply", "--auto-approve", "--no-forecast")
        assert second.returncode == 0, second.stdout + second.stderr
        after = system.ask("someone")
        assert after["components"]["index"] == "stdlib@2"
        assert after["components"]["embedder"] == "svd@1"

        harmful = system.rollcast("apply", "--file", "harmful.yaml", "--auto-approve", "--no-forecast")
        assert harmful.returncode == 4, harmful.stdout + harmful.stderr
        assert "violation_rate" in harmful.stdout
        assert system.ask("someone")["release"] == after["release"]

    status = system.rollcast("status", "--format", "json")
    assert status.returncode == 0, status.stderr
    assert after["release"] in json.dumps(json.loads(status.stdout))

    records = system.records()
    assert mixed(records) == 0
    assert not [record for record in records if record["error"]]
    releases = {record["release"] for record in records}
    assert {before["release"], after["release"]} < releases

    assert system.rollcast("plan", "--detailed-exitcode").returncode == 0
    back = system.rollcast("rollback", "--to", before["release"], "--auto-approve")
    assert back.returncode == 0, back.stdout + back.stderr
    assert system.ask("someone")["release"] == before["release"]
