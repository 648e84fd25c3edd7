"""The way out needs the target and the ledger alone: a declaration that broke since, or is gone, hinders nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollcast.stacks.rollout.recorded import recorded_project
from tests.stacks.site import PATIENT, Site, first_released


@pytest.mark.engine
@pytest.mark.parametrize("how", ["gone", "broken", "unknown telemetry"])
def test_a_rollout_is_aborted_whatever_became_of_its_declaration(tmp_path: Path, how: str) -> None:
    with first_released(tmp_path / "site") as site, site.requests():
        _begin(site)
        path = site.folder / "rollcast.yaml"
        if how == "gone":
            path.unlink()
        elif how == "broken":
            path.write_text("pipeline: [", "utf-8")
        else:
            text = path.read_text("utf-8")
            assert "telemetry:" in text
            path.write_text(text.replace("telemetry:", "telemetry: {kind: otlp}\n    x:"), "utf-8")
        assert site.rollcast("apply", "--resume").returncode == 1, "to go on needs what is declared"
        done = site.rollcast("abort", "--reason", "the file is broken")
        assert done.returncode == 4, done.stderr
        assert "going by what the last rollout was made from" in done.stderr
        assert site.components()["safety"].endswith("@1")
        back = site.rollcast("rollback", "--auto-approve")
        assert "rollcast.yaml can't be used" in back.stderr


def _begin(site: Site) -> None:
    site.declare(safety=2, rollout=PATIENT)
    assert site.rollcast("apply", "--auto-approve", "--once").returncode == 5


def test_without_a_rollout_there_is_nothing_to_go_by(tmp_path: Path) -> None:
    assert recorded_project(tmp_path, None, "rollcast.yaml") is None
