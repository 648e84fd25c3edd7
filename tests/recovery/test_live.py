"""The ledger is lost in the middle of a split, under live requests: nobody notices, and everybody goes to one side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.stacks.site import PATIENT, first_released

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_a_ledger_that_is_lost_in_a_split_mixes_and_loses_no_request(tmp_path: Path) -> None:
    with first_released(tmp_path / "project") as site:
        site.declare(safety=2, rollout=PATIENT)
        assert site.rollcast("apply", "--once", "--auto-approve").returncode == 5
        before = site.status()["serving"]
        assert len(before) == 2
        (site.folder / ".rollcast/ledger.db").unlink()
        refused = site.rollcast("abort")
        assert refused.returncode == 1, refused.stderr
        with site.requests() as requests:
            done = site.rollcast("recover", "--auto-approve", "--format", "json")
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
            assert (found["recovered"], found["serving"]) == (True, before)
            assert site.status()["serving"] == before
            assert site.rollcast("apply", "--auto-approve").returncode == 1, "a split is no beginning of a plan"
            old = before[1]["release"]
            moved = site.rollcast("recover", "--to", old, "--auto-approve")
            assert moved.returncode == 0, moved.stdout + moved.stderr
        assert [(s["release"], s["percent"]) for s in site.status()["serving"]] == [(old, 100.0)]
        assert (requests.failed, requests.mixed) == (0, 0)
        assert requests.served > 50
        assert site.rollcast("plan", "--detailed-exitcode").returncode == 2
