"""Eight replicas in eight processes, whole rollouts, kills and restarts at random: none mixed, none lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fleet.schedules import run
from tests.fleet.site import Fleet

pytestmark = [pytest.mark.engine, pytest.mark.slow]


@pytest.fixture(scope="module", params=[0, 2], ids=["addresses", "relays"])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The driver asks each replica at its address, or two relays to which all acknowledge."""
    with Fleet(tmp_path_factory.mktemp("fleet") / "project", relays=request.param) as made:
        made.declare(1)
        assert made.rollcast("lock").returncode == 0
        first = made.rollcast("apply", "--auto-approve", "--no-forecast")
        assert first.returncode == 0, first.stdout + first.stderr + made.logs()
        yield made


@pytest.mark.parametrize("seed", range(5))
def test_no_request_is_mixed_or_lost_whatever_befalls_replicas(fleet: Fleet, seed: int) -> None:
    verdict = run(fleet, seed, 2 - seed % 2)
    assert not verdict.wrong, "\n".join(verdict.wrong[:10]) + fleet.logs()
    assert verdict.served > 50
