"""A data plane that can't be reached any more is taken out of the declaration, and the rollout goes on without it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run_here
from tests.stacks.test_fleet import listening
from tests.stacks.test_two_at_once import declare

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def refuses_to_warm(path: str) -> tuple[int, Any]:
    return (400, {"error": "out of memory"}) if "warm" in path else (200, {"replica": "a"})


@pytest.mark.parametrize("serves", [False, True])
def test_a_rollout_goes_on_without_the_endpoint(tmp_path: Path, serves: bool) -> None:
    folder = tmp_path / "alpha"
    declare(folder, 1)
    assert run_here(folder, "lock").returncode == 0
    if serves:
        assert run_here(folder, "apply", "--auto-approve", "--no-forecast").returncode == 0
    with listening(refuses_to_warm) as address:
        declare(folder, 2, address)
        failed = run_here(folder, "apply", "--auto-approve", "--no-forecast")
        assert failed.returncode == 1
        assert "out of memory" in failed.stderr
    declare(folder, 2)
    done = run_here(folder, "apply", "--resume", "--auto-approve")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rollback_says_within_seconds_which_address_it_misses_and_goes_on_without_it(tmp_path: Path) -> None:
    """The data plane is down: `abort` needs no more than that its address is taken out of the declaration."""
    folder = tmp_path / "alpha"
    declare(folder, 1)
    assert run_here(folder, "lock").returncode == 0
    assert run_here(folder, "apply", "--auto-approve", "--no-forecast").returncode == 0
    with listening(refuses_to_warm) as address:
        declare(folder, 2, address)
        assert run_here(folder, "apply", "--auto-approve", "--no-forecast").returncode == 1
    began = time.monotonic()
    stopped = run_here(folder, "abort")
    assert time.monotonic() - began < 60
    assert (stopped.returncode, address in stopped.stderr, "correct the target's endpoint" in stopped.stderr) == (
        1, True, True,
    )  # fmt: skip
    declare(folder, 2)
    done = run_here(folder, "abort")
    assert done.returncode == 4, done.stdout + done.stderr
    (held,) = (tmp_path / "target" / "instances" / "alpha").rglob("manifest.json")
    assert "answer" in held.as_posix()


def test_a_service_that_is_not_connected_yet_is_found_before_anything_changes(tmp_path: Path) -> None:
    folder = tmp_path / "alpha"
    with listening(lambda path: (404, {"detail": "Not Found"})) as address:
        declare(folder, 1, address)
        assert run_here(folder, "lock").returncode == 0
        refused = run_here(folder, "apply", "--auto-approve", "--no-forecast")
    assert refused.returncode == 1
    assert "it has no data plane yet" in refused.stderr
    assert "nothing was changed" in refused.stderr
    assert not list((tmp_path / "target" / "instances").rglob("manifest.json"))
    declare(folder, 1)
    assert run_here(folder, "apply", "--auto-approve", "--no-forecast").returncode == 0
