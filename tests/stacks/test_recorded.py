"""The way out needs the target and the ledger alone: a declaration that broke since, or is gone, hinders nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcast.stacks.rollout import recorded
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


PIPELINES, PLACES = ("shop", "help"), ("dev", "prod")
GOING, OVER = "going", "over"


@given(
    st.dictionaries(st.tuples(st.sampled_from(PIPELINES), st.sampled_from(PLACES)), st.sampled_from([GOING, OVER])),
    st.sampled_from([None, *PLACES]),
)
def test_the_way_out_goes_by_the_one_rollout_that_can_be_meant(
    found: dict[tuple[str, str], str], environment: str | None
) -> None:
    """Those under way are meant before those that are over; of several nothing is guessed."""
    ledgers = {f"{pipeline}/{place}": state for (pipeline, place), state in found.items()}
    here = [scope for scope in ledgers if environment in (None, scope.rpartition("/")[2])]
    going = [scope for scope in here if ledgers[scope] == GOING]
    meant = going or here
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recorded, "scopes_in", lambda folder: sorted(ledgers))
        patched.setattr(recorded, "open_ledger", lambda folder, scope: _Ledger(scope))
        patched.setattr(recorded, "under_way", lambda ledger: ledger.scope if ledgers[ledger.scope] == GOING else None)
        patched.setattr(recorded, "_project", lambda folder, file, ledger, started: ledger.scope)
        assert recorded_project(Path(), environment, "rollcast.yaml") == (meant[0] if len(meant) == 1 else None)


class _Ledger:
    def __init__(self, scope: str) -> None:
        self.scope = scope

    def last(self, kind: str) -> str:
        return self.scope


def test_without_a_rollout_there_is_nothing_to_go_by(tmp_path: Path) -> None:
    assert recorded_project(tmp_path, None, "rollcast.yaml") is None
